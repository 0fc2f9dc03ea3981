// What the machine has for this process.
#pragma once

#include <cstddef>
#include <filesystem>

namespace orthrus {

// Physical cores that the process may run on, by its affinity mask, and no more than its control
// group's CPU quota allows. Two hardware threads of a core share the arithmetic that kernels keep
// busy. `root` is where /sys and /proc are found. At least 1.
int usable_cores(const std::filesystem::path& root = "/");

size_t physical_memory();  // bytes, whoever else uses them

}  // namespace orthrus
