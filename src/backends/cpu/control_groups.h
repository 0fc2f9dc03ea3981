// The control groups that this process is in: containers and services limit it by them.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace orthrus {

// Folders whose files may limit this process: its own group and those that it lies in, as far as
// they can be seen. Of version 1 there is a hierarchy for each controller. In a container the
// process's group may be the top one, whatever /proc says its path is.
struct ControlGroups {
  std::vector<std::filesystem::path> version_1, version_2;
};

// For a controller, "cpu" or "memory". `root` is where /sys and /proc are found.
ControlGroups control_groups(std::string_view controller, const std::filesystem::path& root);

}  // namespace orthrus
