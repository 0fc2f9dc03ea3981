// How much memory this process may have.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace orthrus {

struct MemoryLimit {
  double bytes;
  std::string_view whose;  // "this machine has", ...
};

// The smallest of the machine's physical memory, whoever else uses it, the limits of the process's
// control groups, of version 1 and 2, and its own (ulimit -v, ulimit -d). `root` is where /sys and
// /proc are found.
MemoryLimit memory_limit(const std::filesystem::path& root = "/");

// Throws Error(kSystem), "`what` 9.9 GiB; this machine has ...", when that is less than `bytes`.
void check_memory(double bytes, std::string_view what, const std::filesystem::path& root = "/");

}  // namespace orthrus
