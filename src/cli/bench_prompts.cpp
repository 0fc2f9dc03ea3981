#include "cli/bench_prompts.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "cli/prompt_source.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

std::optional<std::string> string_field(const nlohmann::json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end() || !field->is_string()) return std::nullopt;
  return field->get<std::string>();
}

bool has_only(const nlohmann::json& object, std::initializer_list<std::string_view> names) {
  return std::all_of(object.items().begin(), object.items().end(), [&](const auto& item) {
    return std::find(names.begin(), names.end(), item.key()) != names.end();
  });
}

std::optional<std::vector<ChatMessage>> parse_messages(const nlohmann::json& messages) {
  if (!messages.is_array() || messages.empty()) return std::nullopt;
  std::vector<ChatMessage> parsed;
  for (const nlohmann::json& value : messages) {
    if (!value.is_object() || !has_only(value, {"role", "content"})) return std::nullopt;
    const auto role = string_field(value, "role"), content = string_field(value, "content");
    if (!role || !content) return std::nullopt;
    ChatMessage& message = parsed.emplace_back();
    message.role = *role;
    message.content = *content;
  }
  return parsed;
}

// Nothing for what is no prompt.
std::optional<BenchPrompt> parse_prompt(std::string_view line) {
  if (line[0] != '"' && line[0] != '{') return std::nullopt;
  const nlohmann::json value = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (value.is_string()) return BenchPrompt{"", value.get<std::string>()};
  if (!value.is_object() || !has_only(value, {"messages", "kind"})) return std::nullopt;
  if (value.contains("kind") && !string_field(value, "kind")) return std::nullopt;
  if (!value.contains("messages")) return std::nullopt;
  auto messages = parse_messages(value["messages"]);
  if (!messages) return std::nullopt;
  return BenchPrompt{string_field(value, "kind").value_or(""), *std::move(messages)};
}

}  // namespace

const std::string& BenchPrompt::text() const {
  if (const auto* text = std::get_if<std::string>(&content)) return *text;
  return std::get<std::vector<ChatMessage>>(content).back().content;
}

std::string BenchPrompt::label() const {
  return escaped(text());
}

// Beginnings of Python files, for the model that comes with the sources: short and long, from code
// that repeats itself to code that does not, and a little prose.
std::vector<BenchPrompt> built_in_texts() {
  const char* const texts[] = {
      "def fibonacci(n):\n",
      "import os\nimport sys\n\n\ndef main():\n",
      "class Stack:\n    def __init__(self):\n        self.items = []\n",
      "def read_lines(path):\n    with open(path) as f:\n",
      "import unittest\n\n\nclass TestParser(unittest.TestCase):\n    def test_empty(self):\n",
      "def binary_search(values, target):\n    low = 0\n",
      "from dataclasses import dataclass\n\n\n@dataclass\nclass Point:\n",
      "def parse_args():\n    parser = argparse.ArgumentParser(\n",
      "class Color(Enum):\n    RED = 1\n    GREEN = 2\n    BLUE = 3\n",
      "ERRORS = {\n    400: 'Bad Request',\n    401: 'Unauthorized',\n    403: 'Forbidden',\n",
      "\"\"\"Helpers for dates and times.\n\nThis module\n",
      "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n\n\ndef mul(",
      "class Cache:\n    \"\"\"A cache with a limit.\"\"\"\n\n    def __init__(self, limit=128):\n"
      "        self._limit = limit\n        self._data = {}\n\n    def get(self, key, "
      "default=None):\n",
      "import logging\n\nlogger = logging.getLogger(__name__)\n\n\nclass Client:\n"
      "    def connect(self, host, port):\n",
      "def is_prime(n):\n    if n < 2:\n        return False\n    for i in range(2, n):\n",
      "@pytest.mark.parametrize(\n    'value, expected',\n    [\n        (0, 'zero'),\n"
      "        (1, 'one'),\n",
      "from typing import Any, Dict, List, Optional\n\n\ndef merge(left: Dict[str, Any], right: "
      "Dict[str, Any]) -> Dict[str, Any]:\n",
      "class Node:\n    def __init__(self, value, next=None):\n        self.value = value\n"
      "        self.next = next\n\n\nclass LinkedList:\n    def append(self, value):\n",
      "# Licensed under the Apache License, Version 2.0 (the \"License\");\n# you may not use this "
      "file except in compliance with the License.\n",
      "async def fetch(session, url):\n    async with session.get(url) as response:\n",
      "def test_roundtrip():\n    data = {'a': 1, 'b': [1, 2, 3]}\n    assert json.loads(\n",
      "try:\n    import simplejson as json\nexcept ImportError:\n",
      "class Config:\n    DEBUG = False\n    TESTING = False\n    DATABASE_URI = 'sqlite://'\n\n\n"
      "class ProductionConfig(Config):\n",
      "    def __eq__(self, other):\n        if not isinstance(other, self.__class__):\n"
      "            return NotImplemented\n        return self.name == other.name\n\n"
      "    def __hash__(self):\n",
  };
  std::vector<BenchPrompt> prompts;
  for (const char* text : texts) prompts.push_back({"", text});
  return prompts;
}

std::vector<BenchPrompt> read_prompts(const std::string& file) {
  const std::string text = read_text(file);
  std::vector<BenchPrompt> prompts;
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    std::optional<BenchPrompt> prompt = parse_prompt(line.substr(first));
    if (!prompt) {
      throw Error(
          ErrorKind::kFile,
          fmt::format("{}: line {} is {}; valid is a JSON string, as in \"def f(x):\\n\", or "
                      "{{\"messages\": [{{\"role\": \"user\", \"content\": \"...\"}}], "
                      "\"kind\": \"code\"}}, whose kind may be left out.",
                      without_controls(file), number, in_quotes(line)));
    }
    prompt->place = fmt::format("{}: line {}", without_controls(file), number);
    prompts.push_back(*std::move(prompt));
  }
  if (prompts.empty()) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: there is no prompt in it; it must have one a line: a JSON string, "
                            "or an object with messages.",
                            without_controls(file)));
  }
  return prompts;
}

}  // namespace orthrus::cli
