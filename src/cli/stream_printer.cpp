#include "cli/stream_printer.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "cli/text.h"

namespace orthrus::cli {
namespace {

// How many bytes at the end of the step's text are the bonus token's.
size_t bonus_bytes(const Step& step, const Tokenizer& tokenizer) {
  const bool has_bonus =
      step.drafted > 0 && step.tokens.size() == static_cast<size_t>(step.accepted) + 1;
  if (!has_bonus) return 0;
  const std::string_view bytes = tokenizer.token_bytes(step.tokens.back());
  // A token may begin within a character, and text may be held back.
  const bool begins_character = !bytes.empty() && (bytes[0] & 0xc0) != 0x80;
  return begins_character && step.text.ends_with(bytes) ? bytes.size() : 0;
}

}  // namespace

void StreamPrinter::put_prompt(std::string_view text) {
  if (text.empty()) return;
  in_line_ = text.back() != '\n';
  output_->write(styled(joined(text), kDim));
}

bool StreamPrinter::put(const Step& step) {
  ++passes_;
  return tokenizer_ != nullptr ? write_text(step) : write_ids(step);
}

void StreamPrinter::end_line() {
  if (std::exchange(holds_return_, false)) output_->write(styled("\r", ""));
  if (in_line_) output_->write("\n");
  in_line_ = false;
}

std::string StreamPrinter::styled(std::string_view text, std::string_view escapes) const {
  if (text.empty()) return {};
  const std::string shown = style_.terminal ? without_controls(text) : std::string(text);
  return style_.color ? fmt::format("{}{}{}", escapes, shown, kReset) : shown;
}

// The text to be written now: what was held back, and `text` without what is to be held back. Only
// a terminal is shown "\r" in another way before "\n" than elsewhere.
std::string StreamPrinter::joined(std::string_view text) {
  std::string all(holds_return_ ? 1 : 0, '\r');
  all += text;
  holds_return_ = style_.terminal && all.ends_with('\r');
  if (holds_return_) all.pop_back();
  return all;
}

bool StreamPrinter::write_text(const Step& step) {
  if (step.text.empty()) return !output_->failed();
  in_line_ = step.text.back() != '\n';
  const std::string color(passes_ % 2 == 1 ? kCyan : kYellow);
  const std::string text = joined(step.text);
  const size_t bonus = std::min(bonus_bytes(step, *tokenizer_), text.size());
  const std::string_view drafts = std::string_view(text).substr(0, text.size() - bonus);
  return output_->write(styled(drafts, color) +
                        styled(text.substr(drafts.size()), color + std::string(kBold)));
}

bool StreamPrinter::write_ids(const Step& step) {
  std::string text;
  for (const int32_t id : step.tokens) {
    if (in_line_) text += ',';
    text += std::to_string(id);
    in_line_ = true;
  }
  return output_->write(styled(text, passes_ % 2 == 1 ? kCyan : kYellow));
}

}  // namespace orthrus::cli
