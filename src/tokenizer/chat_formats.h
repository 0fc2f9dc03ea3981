// The table of chat formats: to add one, add a row.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "orthrus/chat.h"

namespace orthrus {

// All formats so far are ChatML's, with what these fields say. One that is not needs a way to
// render of its own.
struct ChatLayout {
  ChatFormatInfo info;
  std::string_view default_system;  // the system message where the chat has none; empty: no message
  bool has_tools;
  std::span<const uint64_t> templates;  // hashes of those recognized; see chat_format_of
};

// Throws Error(kUsage) for kNone and kUnknown.
const ChatLayout& layout_of(ChatFormat format);

}  // namespace orthrus
