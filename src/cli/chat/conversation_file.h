// A conversation as JSON, with OpenAI's messages.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "orthrus/chat.h"

namespace orthrus::cli {

// {"messages": [{"role": "user", "content": "..."}, ...]}, indented.
std::string conversation_to_json(std::span<const ChatMessage> messages);

// From such an object, or the array alone. Other fields of the object (a model, a temperature) say
// nothing about the conversation and are passed over. A message has a role, "system" (only of the
// first), "user" or "assistant", and a content, a text or OpenAI's array of text parts; what else
// it may have is refused unless null, since it would be lost. Throws Error(kFile), naming
// `name`, the message and what would be valid.
std::vector<ChatMessage> parse_conversation(std::string_view json, const std::string& name);

// Whole or not at all: written beside the file and renamed. Throws Error(kFile).
void save_conversation(const std::filesystem::path& file, std::span<const ChatMessage> messages);

// As read_file and parse_conversation.
std::vector<ChatMessage> load_conversation(const std::filesystem::path& file);

}  // namespace orthrus::cli
