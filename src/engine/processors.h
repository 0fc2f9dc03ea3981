// What the machine has for this process.
#pragma once

#include <filesystem>

namespace orthrus {

// Physical cores that the process may run on, by its affinity mask, and no more than its control
// groups' CPU quotas allow. Two hardware threads of a core share the arithmetic that kernels keep
// busy. `root` is where /sys and /proc are found. At least 1.
int usable_cores(const std::filesystem::path& root = "/");

}  // namespace orthrus
