// Options, from Python's words.
#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/option_words.h"
#include "orthrus/device.h"
#include "orthrus/dtype.h"
#include "orthrus/error.h"

namespace orthrus::python {

// "cpu", "cuda", "cuda:N", or "auto": the first CUDA device where there is one. Throws
// Error(kUsage).
Device parse_device(const std::string& text);

// The value of a word. Throws Error(kUsage), which begins with `name`.
template <typename T>
T parse_choice(std::string_view name, const std::string& text, const Choices<T>& choices) {
  if (const std::optional<T> choice = choice_in(text, choices)) return *choice;
  throw Error(ErrorKind::kUsage,
              fmt::format("{} is '{}'; valid is {}.", name, text, in_words(choices)));
}

// As options spell it: "q4_k".
std::string spelled(DType type);

}  // namespace orthrus::python
