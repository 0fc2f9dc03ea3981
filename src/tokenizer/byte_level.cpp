#include "tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "tokenizer/utf8.h"

namespace orthrus {
namespace {

// Bytes that are printable in Latin-1 are their own letters; the 68 others, in order, are U+0100
// on.
constexpr bool is_own_letter(size_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
}

constexpr std::array<char32_t, 256> make_letters() {
  std::array<char32_t, 256> letters{};
  char32_t next = 0x100;
  for (size_t byte = 0; byte < 256; ++byte) {
    letters[byte] = is_own_letter(byte) ? static_cast<char32_t>(byte) : next++;
  }
  return letters;
}

constexpr auto kLetters = make_letters();
constexpr size_t kEndOfLetters = 0x144;

constexpr std::array<int16_t, kEndOfLetters> make_bytes() {
  std::array<int16_t, kEndOfLetters> bytes{};
  bytes.fill(-1);
  for (size_t byte = 0; byte < 256; ++byte) bytes[kLetters[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr auto kBytes = make_bytes();

}  // namespace

std::string letter_of_byte(unsigned char byte) {
  std::string letter;
  append_utf8(letter, kLetters[byte]);
  return letter;
}

std::optional<std::string> bytes_of_letters(std::string_view letters) {
  std::string bytes;
  while (!letters.empty()) {
    const Utf8Character letter = first_character(letters);
    if (letter.kind != Utf8Character::Kind::kWhole || letter.code_point >= kEndOfLetters ||
        kBytes[letter.code_point] < 0) {
      return std::nullopt;
    }
    bytes += static_cast<char>(kBytes[letter.code_point]);
    letters.remove_prefix(letter.length);
  }
  return bytes;
}

}  // namespace orthrus
