// Unicode's canonical composition, as Hugging Face's tokenizers have it: Unicode 9's.
#pragma once

#include <string>
#include <string_view>

namespace orthrus {

// `text`, which must be UTF-8, in normalization form C. O(n log n), whatever the text is.
std::string nfc(std::string_view text);

}  // namespace orthrus
