// What --version prints.
#pragma once

#include <string>

namespace orthrus::cli {

std::string version_number();  // "0.1.0"

// The version, what built it, and what it runs on here. Takes a moment, to try the kernels.
std::string version();

}  // namespace orthrus::cli
