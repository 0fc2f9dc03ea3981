// Byte-level vocabularies spell every byte as one printable letter, GPT-2's way: a space is "Ġ".
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orthrus {

// The letter of a byte, as UTF-8.
std::string letter_of_byte(unsigned char byte);

// The bytes that `letters` (UTF-8) spell; nothing when one of them is not the letter of a byte.
std::optional<std::string> bytes_of_letters(std::string_view letters);

}  // namespace orthrus
