// What a file is that is not what it should be, told by its first bytes.
#pragma once

#include <string_view>

namespace orthrus {

// What readers of JSON and of safetensors need not be told.
inline constexpr std::string_view kItIsJson = "it is JSON";
inline constexpr std::string_view kItIsSafetensors = "it is a safetensors file";

// Says of bytes that could not be read as what they should be what they are, and what to do:
// "it is a web page; download the file itself". "" when that is not known. Of bytes that could be
// read it may say anything.
std::string_view what_it_is(std::string_view beginning);

}  // namespace orthrus
