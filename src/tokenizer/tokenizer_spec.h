// What a tokenizer does, whatever kind of file says so, and the checks that all of them share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/bpe.h"

namespace orthrus {

// Token ids are below this, which is many times what any vocabulary has, so that tables by id stay
// small whatever a file says.
inline constexpr int32_t kMaxTokens = 1 << 22;

// Looking for added tokens takes up to this many steps for a byte of text.
inline constexpr size_t kLongestAddedToken = 1024;

struct TokenizerSpec {
  struct Token {
    std::string text;  // bytes as letters; see byte_level.h
    int32_t id;
  };
  struct AddedToken {
    std::string content;  // UTF-8, not empty; normalized if the token is
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
  int32_t prompt_start = -1;  // the token that every prompt begins with; -1: none
};

// Where a file has its lists, for messages.
struct TokenizerFields {
  std::string file;
  std::string vocab;
  std::string added_tokens;  // the same as vocab where one list has both
  std::string merges;
};

// Of a merge: the texts of its two tokens.
using MergeTexts = std::pair<std::string_view, std::string_view>;

// Gives byte_ids and merges (in the order of their ranks) of a spec whose vocab and added_tokens
// are there. Throws Error(kFile) unless each token has one text and one id, each byte has a token,
// and each merge is of two tokens into a third, no pair twice.
void resolve_ids(TokenizerSpec& spec, std::span<const MergeTexts> merges,
                 const TokenizerFields& fields);

}  // namespace orthrus
