#include "backends/cpu/host_memory.h"

#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "backends/cpu/control_groups.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// "max" is none; version 1 has a number beyond any memory then.
double limit_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  double bytes = 0;
  return in >> bytes ? bytes : HUGE_VAL;
}

double own_limit(__rlimit_resource resource) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return HUGE_VAL;
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

MemoryLimit memory_limit(const std::filesystem::path& root) {
  MemoryLimit least{physical_memory(), "this machine has"};
  const auto take = [&least](double bytes, std::string_view whose) {
    if (bytes < least.bytes) least = {bytes, whose};
  };
  const ControlGroups groups = control_groups("memory", root);
  constexpr std::string_view kGroup = "the control group of this process (its container) allows";
  for (const auto& group : groups.version_1)
    take(limit_in(group / "memory.limit_in_bytes"), kGroup);
  for (const auto& group : groups.version_2) take(limit_in(group / "memory.max"), kGroup);
  take(own_limit(RLIMIT_AS), "ulimit -v allows");
  take(own_limit(RLIMIT_DATA), "ulimit -d allows");
  return least;
}

void check_memory(double bytes, std::string_view what, const std::filesystem::path& root) {
  constexpr double kGiB = 1 << 30;
  const MemoryLimit limit = memory_limit(root);
  if (bytes > limit.bytes) {
    throw Error(ErrorKind::kSystem, fmt::format("{} {:.1f} GiB; {} {:.1f} GiB of memory.", what,
                                                bytes / kGiB, limit.whose, limit.bytes / kGiB));
  }
}

}  // namespace orthrus
