// Messages from the lines that a person types.
#pragma once

#include <functional>
#include <string>

#include "cli/chat/line_editor.h"

namespace orthrus::cli {

using ReadLine = std::function<TypedLine(const std::string& prompt)>;

struct TypedMessage {
  TypedLine::End end = TypedLine::End::kEntered;
  std::string text;
  bool quoted = false;  // stood between """, and so is no command
  int signal = 0;       // as in TypedLine
};

// A line, or what stands from """ at the beginning of a line to """ at the end of one. What ends a
// line other than Enter ends the message, too, and leaves what was typed of it in `text`.
TypedMessage read_message(const ReadLine& read_line);

}  // namespace orthrus::cli
