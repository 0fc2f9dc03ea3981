// Finds added tokens ("<|im_start|>") in a text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orthrus {

class AddedTokens {
 public:
  struct Token {
    std::string content;  // not empty
    int32_t id;
  };

  explicit AddedTokens(std::vector<Token> tokens);  // of different contents

  std::optional<int32_t> find(std::string_view content) const;

  // Cuts out the tokens, leftmost first, the longest where several start: calls on_text with each
  // part between them that is not empty, and on_token with each token's id, in the text's order.
  template <typename OnText, typename OnToken>
  void cut(std::string_view text, OnText on_text, OnToken on_token) const {
    size_t done = 0;
    for (size_t position = 0; position < text.size();) {
      const Token* token = longest_at_start(text.substr(position));
      if (token == nullptr) {
        ++position;
        continue;
      }
      if (position > done) on_text(text.substr(done, position - done));
      on_token(token->id);
      position += token->content.size();
      done = position;
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  const Token* longest_at_start(std::string_view text) const;

  std::vector<Token> tokens_;           // sorted by content
  std::array<size_t, 257> first_byte_;  // tokens_[first_byte_[b]...first_byte_[b + 1]) start with b
};

}  // namespace orthrus
