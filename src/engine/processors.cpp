#include "engine/processors.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <string>

#include "backends/cpu/control_groups.h"

namespace orthrus {
namespace {

std::string first_line(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

double number_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  double number = 0;
  return in >> number ? number : 0;
}

// In CPUs: microseconds of each period. HUGE_VAL where there is none ("max", or -1).
double quota(double microseconds, double period) {
  return microseconds > 0 && period > 0 ? microseconds / period : HUGE_VAL;
}

// The least of the process's control group and those it is in.
double quota_of_process(const std::filesystem::path& root) {
  double least = HUGE_VAL;
  const ControlGroups groups = control_groups("cpu", root);
  for (const auto& group : groups.version_1) {
    least = std::min(least, quota(number_in(group / "cpu.cfs_quota_us"),
                                  number_in(group / "cpu.cfs_period_us")));
  }
  for (const auto& group : groups.version_2) {  // "150000 100000" is one and a half CPUs
    std::ifstream in(group / "cpu.max");
    double microseconds = 0, period = 0;
    if (in >> microseconds >> period) least = std::min(least, quota(microseconds, period));
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

}  // namespace orthrus
