// Options whose value is one of a few words.
#pragma once

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {

template <typename T>
using Choices = std::vector<std::pair<std::string, T>>;

template <typename T>
std::string in_words(const Choices<T>& choices) {
  std::string words;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) words += i + 1 == choices.size() ? " or " : ", ";
    words += choices[i].first;
  }
  return words;
}

// Another word is an Error(kUsage). `Target` is T or std::optional<T>.
template <typename T, typename Target>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Target& target, Choices<T> choices,
                        const std::string& description) {
  const auto set = [&target, choices = std::move(choices), name](const std::string& text) {
    for (const auto& [word, value] : choices) {
      if (text != word) continue;
      target = value;
      return;
    }
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is {}; valid is {}.", name, in_quotes(text), in_words(choices)));
  };
  return app.add_option_function<std::string>(name, set, description)->type_name("WORD");
}

}  // namespace orthrus::cli
