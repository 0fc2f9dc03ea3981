// What a person gives us to read: files and standard input, of limited size.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace orthrus::cli {

// Throws Error(kFile) when it cannot be read or is larger than 64 MiB.
std::string read_file(const std::filesystem::path& path);
std::string read_standard_input();

// The next line of standard input without its end; nothing after the last one. The last need not
// end in a newline. Throws Error(kFile) for one longer than 1 MiB.
std::optional<std::string> read_line();

}  // namespace orthrus::cli
