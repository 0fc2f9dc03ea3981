#include "cli/chat/chat_commands.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "cli/suggest.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

using Name = ChatCommand::Name;

struct Known {
  std::string_view word;
  Name name;
  bool takes_argument = false;
};
constexpr Known kKnown[] = {
    {"/help", Name::kHelp},       {"/read", Name::kRead, true}, {"/system", Name::kSystem, true},
    {"/clear", Name::kClear},     {"/retry", Name::kRetry},     {"/save", Name::kSave, true},
    {"/load", Name::kLoad, true}, {"/set", Name::kSet, true},   {"/stats", Name::kStats},
    {"/quit", Name::kQuit},       {"/bye", Name::kQuit},        {"/exit", Name::kQuit},
};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

std::string in_lower_case(std::string_view word) {
  std::string lower(word);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

}  // namespace

std::string_view chat_help() {
  return R"(/read FILE [TEXT]  send a file, with a question about it or without
/system [TEXT]     set the system message, or show it
/clear             start over; the system message stays
/retry             drop the last reply and answer again, with the next seed
/save FILE         save the conversation, as JSON with OpenAI's messages
/load FILE         go on with a saved conversation
/set [NAME VALUE]  change how replies are generated, or show it
/stats             what the replies took
/quit              end the chat, as /bye, /exit and Ctrl-D do
Anything else is a message. """ begins and ends one of several lines; so does a
paste, and Alt-Enter begins another line. Ctrl-C ends a reply.
)";
}

std::optional<ChatCommand> parse_chat_command(std::string_view line) {
  const std::string_view text = trimmed(line);
  if (!text.starts_with('/') || text.find('\n') != std::string_view::npos) return std::nullopt;
  const auto after = std::find_if_not(text.begin() + 1, text.end(), is_letter);
  const std::string_view word = text.substr(0, static_cast<size_t>(after - text.begin()));
  const std::string_view rest = text.substr(word.size());
  const bool whole = rest.empty() || rest[0] == ' ' || rest[0] == '\t';
  const std::string lower = in_lower_case(word);
  if (word.size() == 1 || !whole || lower == "/think" || lower == "/no_think") return std::nullopt;
  std::vector<std::string> names;
  for (const Known& known : kKnown) {
    names.emplace_back(known.word);
    if (known.word != lower) continue;
    ChatCommand command{known.name, std::string(trimmed(rest))};
    if (known.takes_argument || command.argument.empty()) return command;
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{0} stands alone, without {1}; \"\"\" before and after a text sends it "
                    "as it is.",
                    known.word, in_quotes(command.argument)));
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("{} is not a command{} /help lists them; \"\"\" before and after a text "
                          "sends it as it is.",
                          in_quotes(word), did_you_mean(word, names)));
}

std::pair<std::string, std::string> take_file_name(std::string_view text) {
  text = trimmed(text);
  std::string name;
  if (text.starts_with("~/")) {
    const char* const home = std::getenv("HOME");
    name = home == nullptr ? "~" : home;
    text.remove_prefix(1);
  }
  char quote = 0;
  while (!text.empty()) {
    const char c = text[0];
    if (quote == 0 && (c == ' ' || c == '\t')) break;
    text.remove_prefix(1);
    if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote == 0 && !text.empty()) {
      name += text[0];
      text.remove_prefix(1);
    } else {
      name += c;
    }
  }
  return {name, std::string(trimmed(text))};
}

}  // namespace orthrus::cli
