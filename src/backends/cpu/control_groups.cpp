#include "backends/cpu/control_groups.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "files/files.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;

// Whether "cpu,cpuacct" names "cpu".
bool names(std::string_view controllers, std::string_view controller) {
  while (!controllers.empty()) {
    const size_t comma = std::min(controllers.find(','), controllers.size());
    if (controllers.substr(0, comma) == controller) return true;
    controllers.remove_prefix(std::min(comma + 1, controllers.size()));
  }
  return false;
}

// `top`, and below it every part of the path "/a/b".
void add(std::vector<fs::path>& groups, const fs::path& top, std::string_view path) {
  fs::path group = top;
  groups.push_back(group);
  for (const fs::path& part : fs::path(path).relative_path()) groups.push_back(group /= part);
}

}  // namespace

ControlGroups control_groups(std::string_view controller, const fs::path& root) {
  const fs::path mounts = root / "sys/fs/cgroup";
  std::string path_1, path_2;
  // "4:cpu,cpuacct:/a/b" of version 1, "0::/a/b" of version 2.
  std::ifstream lines(root / "proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty()) path_2 = line.substr(second + 1);
    if (names(controllers, controller)) path_1 = line.substr(second + 1);
  }
  ControlGroups groups;
  add(groups.version_2, mounts, path_2);
  add(groups.version_2, mounts / "unified", path_2);
  for (const std::string& mount : names_in(mounts)) {
    if (names(mount, controller)) add(groups.version_1, mounts / mount, path_1);
  }
  return groups;
}

}  // namespace orthrus
