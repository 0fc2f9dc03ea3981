// Which chat format a model's messages are rendered in.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "orthrus/chat.h"
#include "orthrus/tokenizer.h"

namespace orthrus::cli {

struct ChatFormatOption {
  std::optional<ChatFormat> forced;  // else that of the model's template

  void add_to(CLI::App& app);

  // Throws Error(kUnsupported), saying which formats there are, when none was forced and the model
  // brings no template or an unknown one.
  ChatFormat resolve(const std::string& model) const;

  // Of a forced one: that the vocabulary has no token for a mark of its turns.
  std::optional<std::string> warning(const Tokenizer* tokenizer) const;
};

Thinking thinking_of(ChatFormat format);

}  // namespace orthrus::cli
