// An answer's pieces as Anthropic's content blocks: whole, or as the events of a stream.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/api/fields.h"
#include "server/output/delta.h"

namespace orthrus::server::anthropic {

// "event: NAME\ndata: DATA\n\n", where DATA is an object whose "type" is NAME.
std::string event(const Json& data);

// Blocks of type thinking, text and tool_use, in the order of the text. Thinking is not signed:
// its signature is empty.
class ContentBlocks {
 public:
  void add(std::span<const Delta> deltas);

  // The list of blocks. Arguments of a call that are no JSON object, as where max_tokens cut them
  // off, are {}.
  Json take();

 private:
  Json blocks_ = Json::array();
  std::string arguments_;  // of the last block, a call

  void end_call();
};

class ContentEvents {
 public:
  // Events, several or none.
  std::string put(std::span<const Delta> deltas);
  // Those that end the last block.
  std::string finish();

 private:
  bool is_open_ = false;
  Delta::Kind kind_{};  // of the block that is open; of a call kArguments
  int index_ = -1;
};

}  // namespace orthrus::server::anthropic
