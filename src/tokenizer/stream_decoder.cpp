#include <utility>

#include "orthrus/tokenizer.h"
#include "tokenizer/utf8.h"

namespace orthrus {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::put(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  pending_ += tokenizer_->token_bytes(id);
  std::string text;
  const size_t cut = append_replacing_invalid(text, pending_);
  pending_.erase(0, pending_.size() - cut);
  return text;
}

std::string StreamDecoder::finish() {
  return std::exchange(pending_, {}).empty() ? std::string() : std::string(kReplacementCharacter);
}

}  // namespace orthrus
