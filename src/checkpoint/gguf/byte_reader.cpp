#include "checkpoint/gguf/byte_reader.h"

#include <fmt/format.h>

#include <utility>

#include "base/counted.h"
#include "orthrus/error.h"

namespace orthrus {

ByteReader::ByteReader(std::span<const std::byte> bytes, std::string file)
    : bytes_(bytes), file_(std::move(file)) {}

std::string_view ByteReader::string(std::string_view what) {
  const auto length = number<uint64_t>(what);
  const std::span<const std::byte> text = take(length, what);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

std::span<const std::byte> ByteReader::take(uint64_t count, std::string_view what) {
  if (count > left()) {
    fail(
        fmt::format("{} takes {} at byte {}, but the file has only {} after it; it may be "
                    "cut short",
                    what, counted(count, "byte"), position_, left()));
  }
  const auto taken = bytes_.subspan(position_, static_cast<size_t>(count));
  position_ += taken.size();
  return taken;
}

void ByteReader::fail(std::string_view problem) const {
  throw Error(ErrorKind::kFile, fmt::format("{}: {}.", file_, problem));
}

}  // namespace orthrus
