#include "tokenizer/chat_format.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace orthrus {
namespace {

// FNV-1a.
constexpr uint64_t hash(std::string_view text) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value;
}

// Qwen3's template as first published, and its later revision, which differs in messages whose
// content is not a string: there are none here.
constexpr std::array<uint64_t, 2> kQwen3Templates = {0x2bfdb7aa9754484e, 0x959a4551391a6549};

}  // namespace

ChatFormat chat_format_of(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  if (text.empty()) return ChatFormat::kNone;
  const bool known = std::find(kQwen3Templates.begin(), kQwen3Templates.end(), hash(text)) !=
                     kQwen3Templates.end();
  return known ? ChatFormat::kQwen3 : ChatFormat::kUnknown;
}

}  // namespace orthrus
