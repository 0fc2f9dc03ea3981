#include "engine/processors.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>

#include "support/temporary_directory.h"

namespace orthrus {
namespace {

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text << "\n";
}

// The CPUs that this test may run on.
std::vector<int> own_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(0, sizeof(set), &set), 0);
  std::vector<int> cpus;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

TEST(Processors, HardwareThreadsOfACoreCountOnce) {
  const test::TemporaryDirectory root;
  const std::vector<int> cpus = own_cpus();
  const auto all = static_cast<int>(cpus.size());
  EXPECT_EQ(usable_cores(root.path()), all) << "without /sys every CPU is a core";
  for (const int cpu : cpus) {
    write(root.path() / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu)) /
              "topology/thread_siblings_list",
          std::to_string(cpu / 2 * 2) + "-" + std::to_string(cpu / 2 * 2 + 1));
  }
  EXPECT_LE(usable_cores(root.path()), (all + 2) / 2);
  EXPECT_GE(usable_cores(root.path()), (all + 1) / 2);
}

TEST(Processors, AControlGroupsQuotaIsTheMost) {
  const test::TemporaryDirectory root;
  const auto all = static_cast<int>(own_cpus().size());
  write(root.path() / "proc/self/cgroup", "0::/a/b");
  write(root.path() / "sys/fs/cgroup/a/b/cpu.max", "max 100000");
  EXPECT_EQ(usable_cores(root.path()), all);
  write(root.path() / "sys/fs/cgroup/a/cpu.max", "170000 100000");
  EXPECT_EQ(usable_cores(root.path()), 1);
  write(root.path() / "sys/fs/cgroup/a/cpu.max", "20000 100000");
  EXPECT_EQ(usable_cores(root.path()), 1);
  write(root.path() / "sys/fs/cgroup/a/cpu.max", "what 100000");
  EXPECT_EQ(usable_cores(root.path()), all);
}

TEST(Processors, AQuotaOfVersion1Counts) {
  const auto all = static_cast<int>(own_cpus().size());
  const auto cores = [&](const std::string& lines, const std::string& group,
                         const std::string& microseconds) {
    const test::TemporaryDirectory root;
    write(root.path() / "proc/self/cgroup", lines);
    write(root.path() / group / "cpu.cfs_quota_us", microseconds);
    write(root.path() / group / "cpu.cfs_period_us", "100000");
    return usable_cores(root.path());
  };
  const std::string lines = "9:memory:/m\n4:cpuacct,cpu:/a/b\n1:name=systemd:/s\n0::/u";
  EXPECT_EQ(cores(lines, "sys/fs/cgroup/cpu/a/b", "100000"), 1);
  EXPECT_EQ(cores(lines, "sys/fs/cgroup/cpu/a", "170000"), 1);
  EXPECT_EQ(cores(lines, "sys/fs/cgroup/cpu,cpuacct", "100000"), 1);
  EXPECT_EQ(cores("", "sys/fs/cgroup/cpu", "100000"), 1) << "as it is in a container";
  EXPECT_EQ(cores(lines, "sys/fs/cgroup/cpu/a/b", "-1"), all);
  EXPECT_EQ(cores(lines, "sys/fs/cgroup/cpu/m", "100000"), all) << "another group";
  EXPECT_EQ(cores(lines, "sys/fs/cgroup/memory/a/b", "100000"), all);
}

}  // namespace
}  // namespace orthrus
