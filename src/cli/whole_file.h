// Files that are written whole or not at all.
#pragma once

#include <filesystem>
#include <string_view>

namespace orthrus::cli {

enum class Readers {
  kOwner,  // private: conversations
  kUsual,  // as the process's umask says
};

// Writes a temporary file beside `file` and renames it. Where `file` is a link, what it points to
// is replaced. Throws Error(kFile); `file` is then as it was.
void write_whole_file(const std::filesystem::path& file, std::string_view text,
                      Readers readers = Readers::kOwner);

// Throws what write_whole_file would, as far as it can be told now, and leaves nothing behind. For
// a file that is there but not to be written, too.
void check_whole_file(const std::filesystem::path& file);

}  // namespace orthrus::cli
