// Reading and writing files that may be set not to wait.
#pragma once

#include <cstddef>
#include <string_view>

namespace orthrus::cli {

// As read(2), but waits where there is nothing yet, and goes on after signals.
ptrdiff_t read_some(int file, char* to, size_t size);

// Writes all of it, waiting where there is no room yet. Returns an errno, or 0.
int write_all(int file, std::string_view text);

}  // namespace orthrus::cli
