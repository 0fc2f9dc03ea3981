// What a person can type in a chat that is no message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace orthrus::cli {

struct ChatCommand {
  enum class Name : uint8_t {
    kHelp,
    kRead,
    kSystem,
    kClear,
    kRetry,
    kSave,
    kLoad,
    kSet,
    kStats,
    kQuit,
  };
  Name name;
  std::string argument;  // the rest of the line, without spaces around it
};

// The command that `line` is: a slash and a word of letters, in whatever case, at its beginning.
// Nothing for a message: so are a path (/etc/hosts), what spans several lines, and Qwen3's switches
// /think and /no_think. Throws Error(kUsage) for a word that is no command, and for text behind one
// that takes none.
std::optional<ChatCommand> parse_chat_command(std::string_view line);

std::string_view chat_help();

// The first word of `text`, which may be in quotes or have spaces escaped as a shell has them, and
// the rest, without spaces around it. For names of files as people type or drop them. "~/" is the
// home directory.
std::pair<std::string, std::string> take_file_name(std::string_view text);

}  // namespace orthrus::cli
