// What the machine has for this process.
#pragma once

#include <filesystem>
#include <string_view>

namespace orthrus {

// Physical cores that the process may run on, by its affinity mask, and no more than its control
// group's CPU quota allows. Two hardware threads of a core share the arithmetic that kernels keep
// busy. `root` is where /sys and /proc are found. At least 1.
int usable_cores(const std::filesystem::path& root = "/");

// Throws Error(kSystem), "`what` 9.9 GiB; this machine has ...", when its physical memory, whoever
// else uses it, is less than `bytes`.
void check_memory(double bytes, std::string_view what);

}  // namespace orthrus
