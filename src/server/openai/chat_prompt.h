// The messages of a chat, and its tools, as a prompt.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/chat.h"
#include "server/api/fields.h"

namespace orthrus::server::openai {

struct ChatPrompt {
  std::string text;
  // What `text` ends with of the assistant's own answer, beside what the chat format asks for: the
  // opening of a call that tool_choice demands.
  std::string begun;
  std::vector<std::string> tools;  // names of those that the model may call

  // `text` without `begun`.
  std::string_view rendered() const {
    return std::string_view(text).substr(0, text.size() - begun.size());
  }
};

// From "messages", "tools", "tool_choice", "add_generation_prompt", "continue_final_message",
// "reasoning_effort" and "chat_template_kwargs". Throws ApiError, and Error(kUsage) for what the
// format cannot render.
ChatPrompt read_chat_prompt(const Fields& body, ChatFormat format);

// "messages" alone.
std::vector<ChatMessage> read_messages(const Fields& body);

}  // namespace orthrus::server::openai
