// A continuation on standard output as it is generated.
#pragma once

#include <string>
#include <string_view>

#include "cli/output.h"
#include "cli/terminal.h"
#include "orthrus/engine.h"

namespace orthrus::cli {

// In colour, two colours alternate from pass to pass, and where drafts were verified the token that
// the AR view itself added, the bonus, is bold. Without a tokenizer the ids are printed, with
// commas.
class StreamPrinter {
 public:
  // `output` and `tokenizer`, which may be null, must outlive the printer.
  StreamPrinter(Output& output, Style style, const Tokenizer* tokenizer)
      : output_(&output), style_(style), tokenizer_(tokenizer) {}

  void put_prompt(std::string_view text);
  bool put(const Step& step);  // false when it cannot be written
  void end_line();             // unless at the beginning of one

 private:
  std::string styled(std::string_view text, std::string_view escapes) const;
  std::string joined(std::string_view text);
  bool write_text(const Step& step);
  bool write_ids(const Step& step);

  Output* output_;
  Style style_;
  const Tokenizer* tokenizer_;
  int passes_ = 0;
  bool in_line_ = false;
  bool holds_return_ = false;  // "\r" was last, and is not written: "\n" may come next
};

}  // namespace orthrus::cli
