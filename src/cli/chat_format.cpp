#include "cli/chat_format.h"

#include <fmt/core.h>

#include "cli/choices.h"
#include "cli/text.h"
#include "orthrus/error.h"
#include "orthrus/inspect.h"

namespace orthrus::cli {
namespace {

Choices<std::optional<ChatFormat>> choices() {
  Choices<std::optional<ChatFormat>> choices = {{"auto", std::nullopt}};
  for (const auto& [name, format] : chat_format_choices()) choices.emplace_back(name, format);
  return choices;
}

// "chatml, qwen2 or qwen3".
std::string names() {
  return in_words(chat_format_choices());
}

}  // namespace

void ChatFormatOption::add_to(CLI::App& app) {
  add_choice<std::optional<ChatFormat>>(
      app, "--chat-format", forced, choices(),
      fmt::format("How messages become a prompt: auto (as the model's chat template says), or, "
                  "whatever the template, {}",
                  names()))
      ->default_str("auto");
}

ChatFormat ChatFormatOption::resolve(const std::string& model) const {
  if (forced) return *forced;
  const ChatFormat found = detect_chat_format(model);
  const std::string hint = fmt::format("--chat-format uses one all the same: {}.", names());
  if (found == ChatFormat::kNone) {
    inspect(model);  // what is no model at all is told as such
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{} carries no chat template, so its model was not made for chat. "
                            "'orthrus generate' without --chat continues plain text; {}",
                            without_controls(model), hint));
  }
  if (found == ChatFormat::kUnknown) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{} carries a chat template that is not known here. {}",
                            without_controls(model), hint));
  }
  return found;
}

std::optional<std::string> ChatFormatOption::warning(const Tokenizer* tokenizer) const {
  if (!forced || tokenizer == nullptr) return std::nullopt;
  for (const char* mark : {"<|im_start|>", "<|im_end|>"}) {  // of all formats
    if (tokenizer->find_added(mark)) continue;
    return fmt::format(
        "--chat-format {}: this model's vocabulary has no token {}, which marks turns there; to "
        "the model it is text like any other.",
        name_of(*forced), mark);
  }
  return std::nullopt;
}

Thinking thinking_of(ChatFormat format) {
  for (const ChatFormatInfo& info : chat_formats()) {
    if (info.format == format) return info.thinking;
  }
  return Thinking::kNever;
}

}  // namespace orthrus::cli
