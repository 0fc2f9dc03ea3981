// A tokenizer.json small enough to change in a test.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "orthrus/tokenizer.h"
#include "tokenizer/byte_level.h"

namespace orthrus::test {

// Every byte is its own id, and 256 to 260 are what the merges give: he, ll, hell, hello, " w".
// Pieces are runs of letters with the space before them, and whatever is between.
inline nlohmann::json small_tokenizer() {
  nlohmann::json file = nlohmann::json::parse(R"({
    "version": "1.0",
    "truncation": null,
    "padding": null,
    "added_tokens": [],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": " ?\\p{L}+"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
    "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
      "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
      "vocab": {"he": 256, "ll": 257, "hell": 258, "hello": 259, "Ġw": 260},
      "merges": [["h", "e"], ["l", "l"], ["he", "ll"], ["hell", "o"], ["Ġ", "w"]]}
  })");
  for (int byte = 0; byte < 256; ++byte) {
    file["model"]["vocab"][letter_of_byte(static_cast<unsigned char>(byte))] = byte;
  }
  return file;
}

// As Hugging Face writes one.
inline nlohmann::json added_token(const std::string& content, int id) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", false}};
}

inline Tokenizer parse(const nlohmann::json& file) {
  return Tokenizer::parse(file.dump(), "t.json");
}

}  // namespace orthrus::test
