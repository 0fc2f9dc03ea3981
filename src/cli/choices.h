// Options whose value is one of a few words.
#pragma once

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
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

inline bool same_letters(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The case of letters does not matter, as BF16 is printed so. Another word is an Error(kUsage).
// `Target` is T or std::optional<T>.
template <typename T, typename Target>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Target& target, Choices<T> choices,
                        const std::string& description) {
  const auto set = [&target, choices = std::move(choices), name](const std::string& text) {
    for (const auto& [word, value] : choices) {
      if (!same_letters(text, word)) continue;
      target = value;
      return;
    }
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is {}; valid is {}.", name, in_quotes(text), in_words(choices)));
  };
  return app.add_option_function<std::string>(name, set, description)->type_name("WORD");
}

}  // namespace orthrus::cli
