// A vocabulary as GGUF files hold it: each line of the input is a token, its type before it, or
// with "m" before it a merge. They come after those of all bytes, so that most of them reach the
// checks.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/vocabulary.h"
#include "orthrus/error.h"
#include "orthrus/tokenizer.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/nfc.h"
#include "tokenizer/utf8.h"

namespace {

using orthrus::Vocabulary;

const std::vector<std::string>& letters() {
  static const std::vector<std::string> letters = [] {
    std::vector<std::string> result;
    for (int byte = 0; byte < 256; ++byte) {
      result.push_back(orthrus::letter_of_byte(static_cast<unsigned char>(byte)));
    }
    return result;
  }();
  return letters;
}

Vocabulary read(std::string_view text) {
  Vocabulary vocabulary;
  vocabulary.name = "fuzz";
  vocabulary.pre = "qwen2";
  for (const std::string& letter : letters()) {
    vocabulary.tokens.push_back(letter);
    vocabulary.types.push_back(1);
  }
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty()) continue;
    if (line[0] == 'm') {
      vocabulary.merges.push_back(line.substr(1));
    } else if (line[0] == 'b') {
      vocabulary.add_bos = true;
      vocabulary.bos_token_id = static_cast<int32_t>(line.size() * 64) - 64;
    } else {
      vocabulary.tokens.push_back(line.substr(1));
      vocabulary.types.push_back(line[0] - '0');
    }
  }
  return vocabulary;
}

void check(const orthrus::Tokenizer& tokenizer, std::string_view text) {
  const std::string normalized = orthrus::nfc(text);
  const std::vector<int32_t> ids = tokenizer.encode(normalized);
  for (const int32_t id : ids) {
    if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
  }
  if (orthrus::find_invalid_utf8(tokenizer.decode(ids))) std::abort();
  const std::vector<int32_t> prompt = tokenizer.encode_prompt(normalized);
  if (prompt.size() != ids.size() && prompt.size() != ids.size() + 1) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(input), size);
  try {
    const auto tokenizer = orthrus::Tokenizer::from_vocabulary(read(text));
    check(tokenizer, "Hello, <|im_start|>w\u00f6rld \u4f60\u597d \U0001f600 e\u0301\n\n  1");
    check(tokenizer, text);
  } catch (const orthrus::Error&) {
  }
  return 0;
}
