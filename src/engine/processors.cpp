#include "engine/processors.h"

#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>

#include "orthrus/error.h"

namespace orthrus {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// "max 100000", or microseconds of each period: 150000 100000 is one and a half CPUs.
double quota(const std::filesystem::path& group) {
  std::ifstream in(group / "cpu.max");
  double microseconds = 0, period = 0;
  if (in >> microseconds >> period && microseconds > 0 && period > 0) return microseconds / period;
  return HUGE_VAL;
}

// The least of the process's control group (version 2) and those it is in.
double quota_of_process(const std::filesystem::path& root) {
  const std::filesystem::path top = root / "sys/fs/cgroup";
  double least = quota(top);
  const std::string line = first_line(root / "proc/self/cgroup");  // 0::/user.slice/...
  if (!line.starts_with("0::/")) return least;
  std::filesystem::path group = top;
  for (const auto& part : std::filesystem::path(line.substr(4))) {
    group /= part;
    least = std::min(least, quota(group));
  }
  return least;
}

int cores_of_affinity(const std::filesystem::path& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  // Hardware threads of one core name the same list of siblings.
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    const std::string name = "cpu" + std::to_string(cpu);
    const std::string siblings =
        first_line(root / "sys/devices/system/cpu" / name / "topology/thread_siblings_list");
    cores.insert(siblings.empty() ? name : siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

}  // namespace

int usable_cores(const std::filesystem::path& root) {
  const double most = std::max(1.0, std::floor(quota_of_process(root)));
  return static_cast<int>(std::min<double>(cores_of_affinity(root), most));
}

void check_memory(double bytes, std::string_view what) {
  const double there =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  constexpr double kGiB = 1 << 30;
  if (bytes > there) {
    throw Error(ErrorKind::kSystem, fmt::format("{} {:.1f} GiB; this machine has {:.1f} GiB of "
                                                "memory.",
                                                what, bytes / kGiB, there / kGiB));
  }
}

}  // namespace orthrus
