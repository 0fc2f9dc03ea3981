// What was typed in earlier chats, for the up arrow.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orthrus::cli {

// A file of texts, one a line: newlines in them are written \n, backslashes \\. Only its owner can
// read it. That it cannot be read or written is no failure: history is then that of this chat.
class HistoryFile {
 public:
  explicit HistoryFile(std::filesystem::path file) : file_(std::move(file)) {}

  // $XDG_STATE_HOME/orthrus/history, else ~/.local/state/orthrus/history; nothing without a home.
  static std::optional<HistoryFile> of_this_user();

  // The newest 1000, oldest first. A file that has grown to twice that, or to 1 MiB, is cut.
  std::vector<std::string> read() const;

  // Several chats may append at once. A text of more than 16 KiB is left out.
  void append(std::string_view text) const;

 private:
  std::filesystem::path file_;
};

}  // namespace orthrus::cli
