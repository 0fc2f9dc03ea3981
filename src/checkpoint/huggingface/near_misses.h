// Directories that people take for models.
#pragma once

#include <filesystem>
#include <string>

namespace orthrus {

// A sentence on what a directory holds that lacks config.json or weights, and what to do.
std::string what_it_holds(const std::filesystem::path& directory);

}  // namespace orthrus
