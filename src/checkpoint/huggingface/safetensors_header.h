// The JSON header of a safetensors file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace orthrus {

// A tensor as the header describes it.
struct HeaderEntry {
  std::string name;
  std::string type;            // as the file calls it
  std::vector<int64_t> shape;  // none below 0
  uint64_t begin = 0;          // within the data; neither offset has been checked
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<HeaderEntry> entries;             // in the header's order
  std::map<std::string, std::string> metadata;  // __metadata__
};

// What the header's text describes. `file` stands for the file in messages. Throws Error(kFile) for
// a malformed header.
SafetensorsHeader parse_safetensors_header(std::string_view header, const std::string& file);

}  // namespace orthrus
