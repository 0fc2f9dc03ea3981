#include "cli/chat/message_reader.h"

#include <string_view>

#include "cli/text.h"

namespace orthrus::cli {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

}  // namespace

TypedMessage read_message(const ReadLine& read_line) {
  TypedLine line = read_line("> ");
  TypedMessage message{line.end, std::move(line.text), false, line.signal};
  const std::string_view begin = trimmed(message.text);
  if (message.end != TypedLine::End::kEntered || !begin.starts_with(kQuotes)) return message;
  message.quoted = true;
  message.text = begin.substr(kQuotes.size());
  // What opens the message on a line of its own begins none.
  bool first = message.text.empty();
  while (!trimmed(message.text).ends_with(kQuotes)) {
    line = read_line("... ");
    if (!first) message.text += '\n';
    first = false;
    message.text += line.text;
    message.end = line.end;
    message.signal = line.signal;
    if (message.end != TypedLine::End::kEntered) return message;
  }
  message.text.erase(message.text.rfind(kQuotes));
  if (message.text.ends_with('\n')) message.text.pop_back();
  return message;
}

}  // namespace orthrus::cli
