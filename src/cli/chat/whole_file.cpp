#include "cli/chat/whole_file.h"

#include <fmt/core.h>
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

}  // namespace

void write_whole_file(const std::filesystem::path& file, std::string_view text) {
  const auto fail_with = [&file](const std::string& problem) {
    throw Error(ErrorKind::kFile,
                fmt::format("Cannot write {}: {}.", without_controls(file.string()), problem));
  };
  const auto fail = [&](int error) { fail_with(std::generic_category().message(error)); };
  std::error_code missing;
  const std::filesystem::path found = std::filesystem::canonical(file, missing);
  const std::filesystem::path target = missing ? file : found;
  // Devices and pipes cannot be replaced by a file, directories must not be.
  std::error_code ignored;
  if (std::filesystem::exists(target, ignored) &&
      !std::filesystem::is_regular_file(target, ignored)) {
    if (std::filesystem::is_directory(target, ignored)) fail(EISDIR);
    fail_with("not a regular file");
  }
  std::string temporary = target.string() + ".XXXXXX";
  const int descriptor = ::mkstemp(temporary.data());
  if (descriptor < 0) fail(errno);
  int error = write_to_disk(descriptor, text);
  if (::close(descriptor) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error == 0) return;
  ::unlink(temporary.c_str());
  fail(error);
}

}  // namespace orthrus::cli
