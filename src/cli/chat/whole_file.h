// Files that are written whole or not at all.
#pragma once

#include <filesystem>
#include <string_view>

namespace orthrus::cli {

// Writes a temporary file beside `file`, which only its owner can read, and renames it. Where
// `file` is a link, what it points to is replaced. Throws Error(kFile); `file` is then as it was.
void write_whole_file(const std::filesystem::path& file, std::string_view text);

}  // namespace orthrus::cli
