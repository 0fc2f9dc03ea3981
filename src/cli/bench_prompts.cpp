#include "cli/bench_prompts.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/input.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {

// Beginnings of Python files, for the model that comes with the sources.
std::vector<std::string> built_in_prompts() {
  return {
      "def fibonacci(n):\n",
      "import os\nimport sys\n\n\ndef main():\n",
      "class Stack:\n    def __init__(self):\n        self.items = []\n",
      "def read_lines(path):\n    with open(path) as f:\n",
      "import unittest\n\n\nclass TestParser(unittest.TestCase):\n    def test_empty(self):\n",
      "def binary_search(values, target):\n    low = 0\n",
      "from dataclasses import dataclass\n\n\n@dataclass\nclass Point:\n",
      "def parse_args():\n    parser = argparse.ArgumentParser(\n",
  };
}

std::vector<std::string> read_prompts(const std::string& file) {
  const std::string text = read_file(file);
  std::vector<std::string> prompts;
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    nlohmann::json value;
    if (line[first] == '"')
      value = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!value.is_string()) {
      throw Error(ErrorKind::kFile,
                  fmt::format("{}: line {} is {}; valid is a JSON string, as in \"def f(x):\\n\".",
                              without_controls(file), number, in_quotes(line)));
    }
    prompts.push_back(value.get<std::string>());
  }
  if (prompts.empty()) {
    throw Error(ErrorKind::kFile, fmt::format("{}: there is no prompt in it; it must have a JSON "
                                              "string a line.",
                                              without_controls(file)));
  }
  return prompts;
}

}  // namespace orthrus::cli
