#include "cli/chat/history_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <system_error>

#include "cli/input.h"
#include "cli/whole_file.h"

namespace orthrus::cli {
namespace {

constexpr size_t kMostTexts = 1000;
constexpr size_t kMostBytes = size_t{1} << 20;
constexpr size_t kMostOfText = size_t{16} << 10;

std::string to_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else {
      if (c == '\\') line += '\\';
      line += c;
    }
  }
  return line + "\n";
}

std::string from_line(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      text += line[i] == 'n' ? '\n' : line[i];
    } else {
      text += line[i];
    }
  }
  return text;
}

}  // namespace

std::optional<HistoryFile> HistoryFile::of_this_user() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') {
    return HistoryFile(std::filesystem::path(state) / "orthrus" / "history");
  }
  const char* const home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return std::nullopt;
  return HistoryFile(std::filesystem::path(home) / ".local" / "state" / "orthrus" / "history");
}

std::vector<std::string> HistoryFile::read() const {
  std::vector<std::string> texts;
  try {
    if (!std::filesystem::is_regular_file(file_)) return texts;
    const std::string whole = read_file(file_);
    std::string_view rest = whole;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (!line.empty() && line.size() <= 2 * kMostOfText) texts.push_back(from_line(line));
    }
    const bool too_large = whole.size() > kMostBytes || texts.size() > 2 * kMostTexts;
    size_t bytes = 0, first = texts.size();
    while (first > 0 && texts.size() - first < kMostTexts && bytes < kMostBytes / 2) {
      bytes += texts[--first].size();
    }
    texts.erase(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(first));
    if (too_large) {
      std::string cut;
      for (const std::string& text : texts) cut += to_line(text);
      write_whole_file(file_, cut);
    }
  } catch (const std::exception&) {
    // As documented: a history less.
  }
  return texts;
}

void HistoryFile::append(std::string_view text) const {
  if (text.size() > kMostOfText) return;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  const int file =
      ::open(file_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
  if (file < 0) return;
  struct stat status {};
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode)) {
    const std::string line = to_line(text);
    // One write, so that lines of several chats do not mix.
    [[maybe_unused]] const ssize_t written = ::write(file, line.data(), line.size());
  }
  ::close(file);
}

}  // namespace orthrus::cli
