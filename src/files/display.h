// How names and values that come from files are shown in messages: short, and safe on a terminal.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace orthrus {

// `text` with whatever a terminal would not print as itself (control and formatting characters,
// bytes that are not UTF-8) as \xNN, cut after about `limit` bytes.
std::string printable(std::string_view text, size_t limit = 80);

// As printable, in double quotes.
std::string in_quotes(std::string_view text);

// A whole path, printable.
std::string shown(const std::filesystem::path& path);

// "a", "b", "c" and 4 more.
std::string list_in_quotes(std::span<const std::string> names);

}  // namespace orthrus
