// Anthropic's "system" and "messages" as the messages of a chat.
#pragma once

#include <vector>

#include "orthrus/chat.h"
#include "server/api/fields.h"

namespace orthrus::server::anthropic {

// Content is a string or a list of blocks: text; from users tool_result, each of which becomes a
// message of its own; from the assistant tool_use, thinking, and redacted_thinking, which nobody
// here can read. Throws ApiError for images, documents and every other type.
//
// Texts of a user's message, and of the system prompt, are joined by newlines. The line with which
// Claude Code begins its system prompt, "x-anthropic-billing-header: ...", is left out: it says
// nothing to a model, and since it is another one each time, it would keep prompts from being
// found in the cache.
std::vector<ChatMessage> read_messages(const Fields& body);

}  // namespace orthrus::server::anthropic
