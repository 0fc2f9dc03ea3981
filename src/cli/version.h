// What --version prints.
#pragma once

#include <string>

namespace orthrus::cli {

// The version, what built it, and what it runs on here. Takes a moment, to try the kernels.
std::string version();

}  // namespace orthrus::cli
