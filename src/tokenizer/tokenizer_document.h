// A tokenizer.json as JSON: its two long lists flat, and the rest as a tree.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/json_document.h"

namespace orthrus {

struct TokenizerDocument {
  JsonPointer fields;  // an object, in which model.vocab and model.merges are empty
  std::vector<std::pair<std::string, int32_t>> vocab;       // in the file's order
  std::vector<std::pair<std::string, std::string>> merges;  // in the order of their ranks
};

// Throws Error(kFile), in which `name` stands for the file, for invalid JSON, for a key given twice
// (in the vocabulary excepted: the caller sorts it), for nesting deeper than any real file's, and
// for entries of the two lists that are not what the format says.
TokenizerDocument parse_tokenizer_document(std::string_view text, const std::string& name);

}  // namespace orthrus
