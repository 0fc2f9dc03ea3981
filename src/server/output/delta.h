// The pieces that the text of an answer comes to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace orthrus::server {

struct Delta {
  enum class Kind : uint8_t {
    kReasoning,  // `text` is more of the thinking
    kContent,    // `text` is more of the answer
    kCall,       // a call of the tool `text` begins
    kArguments,  // `text` is more of the JSON text of a call's arguments
  };

  Kind kind = Kind::kContent;
  std::string text{};  // never empty
  int index = 0;       // of kCall and kArguments: which call, from 0
  std::string id{};    // of kCall

  bool operator==(const Delta&) const = default;
};

struct OutputCall {
  std::string id, name;
  std::string arguments;  // JSON text; of the last call, where max_tokens cut it off, a part of it

  bool operator==(const OutputCall&) const = default;
};

// What all deltas come to.
struct OutputMessage {
  std::string reasoning, content;
  std::vector<OutputCall> calls;

  void add(std::span<const Delta> deltas);

  bool operator==(const OutputMessage&) const = default;
};

}  // namespace orthrus::server
