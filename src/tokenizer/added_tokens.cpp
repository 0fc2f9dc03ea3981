#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <utility>

namespace orthrus {

AddedTokens::AddedTokens(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const Token& a, const Token& b) { return a.content < b.content; });
  first_byte_.fill(0);
  for (const Token& token : tokens_) {
    ++first_byte_[static_cast<unsigned char>(token.content[0]) + size_t{1}];
  }
  for (size_t byte = 0; byte < 256; ++byte) first_byte_[byte + 1] += first_byte_[byte];
}

std::optional<int32_t> AddedTokens::find(std::string_view content) const {
  const auto found =
      std::lower_bound(tokens_.begin(), tokens_.end(), content,
                       [](const Token& token, std::string_view c) { return token.content < c; });
  if (found == tokens_.end() || found->content != content) return std::nullopt;
  return found->id;
}

// Narrows the range of tokens that agree with the text so far, byte by byte, as a walk down a trie
// would; the token that ends here, if any, is the first of the range.
const AddedTokens::Token* AddedTokens::longest_at_start(std::string_view text) const {
  const auto first = static_cast<unsigned char>(text[0]);
  auto begin = tokens_.begin() + static_cast<std::ptrdiff_t>(first_byte_[first]);
  auto end = tokens_.begin() + static_cast<std::ptrdiff_t>(first_byte_[first + size_t{1}]);
  const Token* longest = nullptr;
  for (size_t length = 1; begin != end; ++length) {
    if (begin->content.size() == length) {
      longest = &*begin;
      ++begin;
    }
    if (length == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[length]);
    const auto at = [length](const Token& token) {
      return static_cast<unsigned char>(token.content[length]);
    };
    begin = std::partition_point(begin, end, [&](const Token& token) { return at(token) < byte; });
    end = std::partition_point(begin, end, [&](const Token& token) { return at(token) == byte; });
  }
  return longest;
}

}  // namespace orthrus
