#include "tokenizer/utf8.h"

namespace orthrus {
namespace {

using Kind = Utf8Character::Kind;

// What may follow a first byte: so many bytes 80..BF, of which the first is in a narrower range
// where the others would spell a code point the long way, a surrogate, or one beyond U+10FFFF.
struct Lead {
  int following = -1;  // -1: no character starts with this byte
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {.following = 0};
  if (byte < 0xc2) return {};
  if (byte < 0xe0) return {.following = 1};
  if (byte == 0xe0) return {.following = 2, .low = 0xa0};
  if (byte == 0xed) return {.following = 2, .high = 0x9f};
  if (byte < 0xf0) return {.following = 2};
  if (byte == 0xf0) return {.following = 3, .low = 0x90};
  if (byte < 0xf4) return {.following = 3};
  if (byte == 0xf4) return {.following = 3, .high = 0x8f};
  return {};
}

}  // namespace

Utf8Character first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const Lead lead = lead_of(first);
  if (lead.following < 0) return {Kind::kBroken, 1};
  if (lead.following == 0) return {Kind::kWhole, 1, first};
  char32_t code_point = first & (0x3f >> lead.following);
  for (int i = 1; i <= lead.following; ++i) {
    const auto length = static_cast<size_t>(i);
    if (length == text.size()) return {Kind::kCut, length};
    const auto byte = static_cast<unsigned char>(text[length]);
    const unsigned char low = i == 1 ? lead.low : 0x80;
    const unsigned char high = i == 1 ? lead.high : 0xbf;
    if (byte < low || byte > high) return {Kind::kBroken, length};
    code_point = code_point << 6 | (byte & 0x3f);
  }
  return {Kind::kWhole, static_cast<size_t>(lead.following) + 1, code_point};
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto follow = [&](int shift) {
    text += static_cast<char>(0x80 | (code_point >> shift & 0x3f));
  };
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    text += static_cast<char>(0xc0 | code_point >> 6);
    follow(0);
  } else if (code_point < 0x10000) {
    text += static_cast<char>(0xe0 | code_point >> 12);
    follow(6);
    follow(0);
  } else {
    text += static_cast<char>(0xf0 | code_point >> 18);
    follow(12);
    follow(6);
    follow(0);
  }
}

std::optional<size_t> find_invalid_utf8(std::string_view text) {
  for (size_t position = 0; position < text.size();) {
    const Utf8Character character = first_character(text.substr(position));
    if (character.kind != Kind::kWhole) return position;
    position += character.length;
  }
  return std::nullopt;
}

size_t append_replacing_invalid(std::string& text, std::string_view bytes) {
  while (!bytes.empty()) {
    const Utf8Character character = first_character(bytes);
    if (character.kind == Kind::kCut) break;
    text +=
        character.kind == Kind::kWhole ? bytes.substr(0, character.length) : kReplacementCharacter;
    bytes.remove_prefix(character.length);
  }
  return bytes.size();
}

}  // namespace orthrus
