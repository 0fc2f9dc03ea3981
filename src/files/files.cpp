#include "files/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string_view>
#include <system_error>

#include "base/counted.h"
#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

static_assert(sizeof(size_t) >= sizeof(off_t), "A file's size must fit an address.");

std::string reason() {
  return std::generic_category().message(errno);
}

// A regular file that is not empty, open for reading.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : name_(shown(path)) {
    // O_NONBLOCK: opening a FIFO must fail the check below, not wait for a writer.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor_ < 0) {
      const std::string why = reason();
      std::error_code error;
      const std::filesystem::path target = std::filesystem::read_symlink(path, error);
      throw Error(ErrorKind::kFile,
                  error ? fmt::format("{}: cannot be opened: {}.", name_, why)
                        : fmt::format("{}: is a link to {}, which cannot be opened: {}.", name_,
                                      shown(target), why));
    }
    try {
      examine();
    } catch (...) {
      ::close(descriptor_);
      throw;
    }
  }
  ~OpenFile() { ::close(descriptor_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  const std::string& name() const { return name_; }
  int descriptor() const { return descriptor_; }
  size_t size() const { return size_; }

 private:
  void examine() {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) {
      throw Error(ErrorKind::kFile, fmt::format("{}: cannot be examined: {}.", name_, reason()));
    }
    if (!S_ISREG(status.st_mode)) {
      const char* what = S_ISDIR(status.st_mode) ? "a directory" : "a pipe, device or socket";
      throw Error(ErrorKind::kFile, fmt::format("{}: is {}; it must be a file.", name_, what));
    }
    if (status.st_size <= 0) {
      throw Error(ErrorKind::kFile,
                  fmt::format("{}: is empty; its download may not have finished.", name_));
    }
    size_ = static_cast<size_t>(status.st_size);
  }

  std::string name_;
  int descriptor_ = -1;
  size_t size_ = 0;
};

}  // namespace

void MappedFile::Unmap::operator()(const std::byte* data) const {
  ::munmap(const_cast<std::byte*>(data), size);
}

MappedFile MappedFile::open(const std::filesystem::path& path) {
  const OpenFile file(path);
  void* data = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (data == MAP_FAILED) {
    throw Error(ErrorKind::kSystem, fmt::format("{}: its {} cannot be mapped: {}.", file.name(),
                                                counted(file.size(), "byte"), reason()));
  }
  return MappedFile({static_cast<const std::byte*>(data), Unmap{file.size()}});
}

std::string read_text_file(const std::filesystem::path& path, size_t max_bytes) {
  const OpenFile file(path);
  if (file.size() > max_bytes) {
    throw Error(ErrorKind::kFile, fmt::format("{}: has {} bytes; it may have {} at most.",
                                              file.name(), file.size(), max_bytes));
  }
  std::string text(file.size(), '\0');
  size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t count = ::read(file.descriptor(), text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Error(ErrorKind::kFile, fmt::format("{}: cannot be read: {}.", file.name(), reason()));
    }
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  text.resize(filled);
  return text;
}

bool has_entry(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

std::vector<std::filesystem::path> targets_of_link(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  constexpr size_t kMost = 40;  // as many as Linux follows
  std::error_code error;
  std::vector<fs::path> targets;
  if (!fs::exists(path, error)) return targets;
  for (fs::path link = path; targets.size() < kMost && fs::is_symlink(link, error);) {
    const fs::path target = fs::read_symlink(link, error);
    if (error == std::errc::not_enough_memory) throw std::bad_alloc();
    if (error) break;
    link = link.parent_path() / target;
    targets.push_back(link);
  }
  return targets;
}

std::vector<std::string> names_in(const std::filesystem::path& directory, size_t most) {
  struct Close {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  const std::unique_ptr<DIR, Close> stream(::opendir(directory.c_str()));
  if (stream == nullptr) {
    if (errno == ENOMEM) throw std::bad_alloc();
    return {};
  }
  std::vector<std::string> names;
  while (names.size() < most) {
    const dirent* const entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace orthrus
