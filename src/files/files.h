// Files that people give us: weights are mapped, texts are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace orthrus {

// A whole file, mapped read-only; unmapped with the object. The file may be deleted meanwhile, or
// replaced by another of its name, but not be changed: reading a part that was cut off ends the
// process (SIGBUS), and no check can prevent that.
class MappedFile {
 public:
  // Throws Error(kFile) when there is no such file, or it is empty or not a regular file, and
  // Error(kSystem) when it cannot be mapped.
  static MappedFile open(const std::filesystem::path& path);

  // Aligned to a page.
  std::span<const std::byte> bytes() const { return {map_.get(), map_.get_deleter().size}; }

 private:
  struct Unmap {
    size_t size = 0;
    void operator()(const std::byte* data) const;
  };
  explicit MappedFile(std::unique_ptr<const std::byte, Unmap> map) : map_(std::move(map)) {}

  std::unique_ptr<const std::byte, Unmap> map_;
};

// The contents of a regular file of 1 to `max_bytes` bytes; Error(kFile) otherwise.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes);

// Whether the directory has an entry of that name. A link to nothing counts: it is an incomplete
// download, which opening it will report.
bool has_entry(const std::filesystem::path& path);

// What a link leads to, then, where that is a link, what that leads to, and so on; nothing for what
// is no link, or leads nowhere.
std::vector<std::filesystem::path> targets_of_link(const std::filesystem::path& path);

// The names of what a directory holds, sorted; of more than `most`, any so many. None where it
// cannot be read. (The standard library's directory_iterator ends the process where memory fails.)
std::vector<std::string> names_in(const std::filesystem::path& directory, size_t most = SIZE_MAX);

}  // namespace orthrus
