#include "cli/input.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/text.h"
#include "cli/waiting.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;
constexpr size_t kMostLineBytes = size_t{1} << 20;

class FileDescriptor {
 public:
  explicit FileDescriptor(const std::filesystem::path& path)
      : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void fail(const std::string& name, int error) {
  throw Error(ErrorKind::kFile,
              fmt::format("Cannot read {}: {}.", name, std::generic_category().message(error)));
}

constexpr const char* kStandardInput = "standard input";

// Read from standard input, and of no line yet.
std::string ahead;

std::string read_all(int file, const std::string& name, std::string text = {}) {
  std::vector<char> buffer(size_t{1} << 16);
  while (true) {
    const ptrdiff_t count = read_some(file, buffer.data(), buffer.size());
    if (count < 0) fail(name, errno);
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(count));
    if (text.size() > kMostBytes) {
      throw Error(ErrorKind::kFile, fmt::format("{} has more than {}, the most that is read.", name,
                                                bytes_in_words(kMostBytes)));
    }
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  const std::string name = without_controls(path.string());
  const FileDescriptor file(path);
  if (file.number() < 0) fail(name, errno);
  return read_all(file.number(), name);
}

std::string read_standard_input() {
  return read_all(STDIN_FILENO, kStandardInput, std::exchange(ahead, {}));
}

std::optional<std::string> read_line() {
  size_t newline = std::string::npos, searched = 0;
  while ((newline = ahead.find('\n', searched)) == std::string::npos) {
    searched = ahead.size();
    std::array<char, 4096> buffer;
    const ptrdiff_t count =
        searched > kMostLineBytes ? 0 : read_some(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0) fail(kStandardInput, errno);
    if (count == 0) break;
    ahead.append(buffer.data(), static_cast<size_t>(count));
  }
  if (std::min(newline, ahead.size()) > kMostLineBytes) {
    throw Error(ErrorKind::kFile,
                fmt::format("A line of standard input has more than {}, the most that is read.",
                            bytes_in_words(kMostLineBytes)));
  }
  if (ahead.empty()) return std::nullopt;
  std::string line = ahead.substr(0, newline);
  ahead.erase(0, newline == std::string::npos ? newline : newline + 1);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace orthrus::cli
