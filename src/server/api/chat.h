// The prompt of a chat, whatever the API.
#pragma once

#include <span>
#include <string>

#include "orthrus/chat.h"

namespace orthrus::server {

// render_chat; without a chat format an ApiError in the words of a server.
std::string chat_prompt(ChatFormat format, std::span<const ChatMessage> messages,
                        const ChatOptions& options);

}  // namespace orthrus::server
