#include "cli/chat/paste.h"

#include "cli/utf8.h"

namespace orthrus::cli {

Paste read_paste(TerminalInput& input, const PasteLimits& limits) {
  using Kind = TerminalInput::Event::Kind;
  Paste paste;
  size_t dropped = 0;
  bool after_return = false;
  while (dropped <= limits.dropped) {
    const TerminalInput::Event event = input.next(nullptr, limits.pause);
    if (event.kind != Kind::kCharacter) break;
    const char32_t c = event.character;
    const bool second_of_two = c == '\n' && after_return;
    after_return = c == '\r';
    if (second_of_two || c == 0) continue;
    paste.text += c == '\r' ? "\n" : to_utf8(c);
    if (paste.text.ends_with(kPasteEnds)) {
      paste.text.erase(paste.text.size() - kPasteEnds.size());
      break;
    }
    // The end of the text stays: it may be the beginning of the mark.
    if (paste.text.size() > limits.bytes + kPasteEnds.size()) {
      paste.too_long = true;
      dropped += paste.text.size() - kPasteEnds.size();
      paste.text.erase(0, paste.text.size() - kPasteEnds.size());
    }
  }
  if (paste.too_long) paste.text.clear();
  return paste;
}

}  // namespace orthrus::cli
