// What `orthrus bench` has models continue or answer.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "orthrus/chat.h"

namespace orthrus::cli {

struct BenchPrompt {
  std::string kind;  // "code", "prose", "edit", or what a file says; empty: none
  std::variant<std::string, std::vector<ChatMessage>> content;  // a text to continue, or a chat
  std::string place = {};  // "FILE: line 3", for people; or empty

  const std::string& text() const;  // that is to be continued, or the last message
  std::string label() const;        // the same, escaped
};

std::vector<BenchPrompt> built_in_texts();      // beginnings of files, for base models
std::vector<BenchPrompt> built_in_questions();  // for chat models: bench_questions.cpp

// A file with a prompt a line: a JSON string, or an object {"messages": [{"role": "user",
// "content": "..."}, ...], "kind": "code"}, whose kind may be left out. Empty lines count for
// nothing. Throws Error(kFile), naming file and line.
std::vector<BenchPrompt> read_prompts(const std::string& file);

}  // namespace orthrus::cli
