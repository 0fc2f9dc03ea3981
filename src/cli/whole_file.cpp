#include "cli/whole_file.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include "cli/text.h"
#include "cli/waiting.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

// 0, or an errno.
int write_to_disk(int descriptor, std::string_view text) {
  if (const int error = write_all(descriptor, text); error != 0) return error;
  // A full disk may be told only now.
  return ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno;
}

mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

// Who is about to be written, and the file beside it that becomes it.
class WholeFile {
 public:
  explicit WholeFile(const std::filesystem::path& file) : file_(file), target_(file) {
    follow_links();
    // Devices and pipes cannot be replaced by a file, directories must not be.
    std::error_code ignored;
    if (std::filesystem::exists(target_, ignored) &&
        !std::filesystem::is_regular_file(target_, ignored)) {
      if (std::filesystem::is_directory(target_, ignored)) fail(EISDIR);
      fail_with("not a regular file");
    }
  }

  void check() {
    if (::access(target_.c_str(), W_OK) != 0 && errno != ENOENT) fail(errno);
    ::close(make_temporary());
    ::unlink(temporary_.c_str());
  }

  void write(std::string_view text, Readers readers) {
    const int descriptor = make_temporary();
    int error = write_to_disk(descriptor, text);
    if (error == 0 && readers == Readers::kUsual && ::fchmod(descriptor, usual_mode()) != 0) {
      error = errno;
    }
    if (::close(descriptor) != 0 && error == 0) error = errno;
    if (error == 0 && ::rename(temporary_.c_str(), target_.c_str()) != 0) error = errno;
    if (error == 0) return;
    ::unlink(temporary_.c_str());
    fail(error);
  }

 private:
  // Also one to a file that is yet to be made: what replaces a link is not seen through it.
  void follow_links() {
    constexpr int kMost = 40;  // as many as Linux follows
    std::error_code error;
    for (int links = 0; std::filesystem::is_symlink(target_, error); ++links) {
      if (links == kMost) fail(ELOOP);
      const std::filesystem::path next = std::filesystem::read_symlink(target_, error);
      if (error) fail(error.value());
      target_ = target_.parent_path() / next;
    }
  }

  int make_temporary() {
    temporary_ = target_.string() + ".XXXXXX";
    const int descriptor = ::mkstemp(temporary_.data());
    if (descriptor < 0) fail(errno);
    return descriptor;
  }

  [[noreturn]] void fail_with(const std::string& problem) const {
    throw Error(ErrorKind::kFile,
                fmt::format("Cannot write {}: {}.", without_controls(file_.string()), problem));
  }
  [[noreturn]] void fail(int error) const { fail_with(std::generic_category().message(error)); }

  std::filesystem::path file_, target_;
  std::string temporary_;
};

}  // namespace

void write_whole_file(const std::filesystem::path& file, std::string_view text, Readers readers) {
  WholeFile(file).write(text, readers);
}

void check_whole_file(const std::filesystem::path& file) {
  WholeFile(file).check();
}

}  // namespace orthrus::cli
