#include "server/api/chat.h"

#include <fmt/format.h>

#include "server/api/error.h"

namespace orthrus::server {

std::string chat_prompt(ChatFormat format, std::span<const ChatMessage> messages,
                        const ChatOptions& options) {
  if (format == ChatFormat::kNone || format == ChatFormat::kUnknown) {
    throw invalid_request(
        fmt::format("This server has no chat format, which makes a prompt of messages: its model "
                    "has {}, and it was started without --chat-format. /v1/completions continues "
                    "plain text.",
                    format == ChatFormat::kNone ? "no chat template"
                                                : "a chat template that is not known here"));
  }
  return render_chat(format, messages, options);
}

}  // namespace orthrus::server
