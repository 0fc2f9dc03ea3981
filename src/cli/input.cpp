#include "cli/input.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <vector>

#include "cli/text.h"
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

std::string read_all(int file, const std::string& name) {
  std::string text;
  std::vector<char> buffer(size_t{1} << 16);
  while (true) {
    const ssize_t count = ::read(file, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
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
  return read_all(STDIN_FILENO, "standard input");
}

std::optional<std::string> read_line() {
  std::string line;
  for (int c; (c = std::getchar()) != EOF && c != '\n';) {
    if (line.size() == kMostLineBytes) {
      throw Error(ErrorKind::kFile,
                  fmt::format("A line of standard input has more than {}, the most that is read.",
                              bytes_in_words(kMostLineBytes)));
    }
    line += static_cast<char>(c);
  }
  if (std::feof(stdin) && line.empty()) return std::nullopt;
  if (std::ferror(stdin)) fail("standard input", errno);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace orthrus::cli
