// A byte-level BPE vocabulary as data, as GGUF files hold it: what the tokenizer is built from
// where there is no tokenizer.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orthrus {

struct Vocabulary {
  std::string name;                      // of the file, for messages
  std::string pre;                       // which split: "qwen2"
  std::vector<std::string_view> tokens;  // by id; bytes as letters (tokenizer/byte_level.h), but
                                         // for control and user-defined tokens, which are plain
  std::vector<int32_t> types;            // by id, GGUF's: 1 normal, 2 unknown, 3 control,
                                         // 4 user-defined, 5 unused, 6 byte
  std::vector<std::string_view> merges;  // "left right", best first
  bool add_bos = false;                  // whether a prompt begins with bos_token_id
  int32_t bos_token_id = -1;             // -1: none
};

}  // namespace orthrus
