// Options whose value is one of a few words.
#pragma once

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/option_words.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {

// Another word is an Error(kUsage). `Target` is T or std::optional<T>.
template <typename T, typename Target>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Target& target, Choices<T> choices,
                        const std::string& description) {
  const auto set = [&target, choices = std::move(choices), name](const std::string& text) {
    const std::optional<T> chosen = choice_in(text, choices);
    if (!chosen) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{} is {}; valid is {}.", name, in_quotes(text), in_words(choices)));
    }
    target = *chosen;
  };
  return app.add_option_function<std::string>(name, set, description)->type_name("WORD");
}

}  // namespace orthrus::cli
