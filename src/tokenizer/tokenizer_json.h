// A tokenizer.json, checked: what remains is what this tokenizer does.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe.h"

namespace orthrus {

struct TokenizerSpec {
  struct Token {
    std::string text;  // bytes as letters; see byte_level.h
    int32_t id;
  };
  struct AddedToken {
    std::string content;  // not empty; normalized if the token is
    int32_t id;
    bool special;
    bool normalized;  // to be found in the normalized text
  };

  bool normalize = false;  // to NFC
  std::string split_pattern;
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
  std::vector<Token> vocab;
  std::array<int32_t, 256> byte_ids;
  std::vector<Bpe::Merge> merges;
  std::vector<AddedToken> added_tokens;
};

// Throws as Tokenizer::parse.
TokenizerSpec read_tokenizer_spec(std::string_view json, const std::string& name);

}  // namespace orthrus
