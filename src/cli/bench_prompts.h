// What `orthrus bench` continues when it is given no prompts.
#pragma once

#include <string>
#include <vector>

namespace orthrus::cli {

std::vector<std::string> built_in_prompts();

// A file with a JSON string a line; empty lines count for nothing. Throws Error(kFile), naming file
// and line.
std::vector<std::string> read_prompts(const std::string& file);

}  // namespace orthrus::cli
