// Numbers and strings one after another, from bytes that may end anywhere.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace orthrus {

static_assert(std::endian::native == std::endian::little, "Numbers are read as the file has them.");

// Every function checks that what it reads is there, before it is used or its size is; `what` names
// it in the message of Error(kFile).
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string file);

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  template <typename T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  // Eight bytes of length, then as many of text.
  std::string_view string(std::string_view what);

  std::span<const std::byte> take(uint64_t count, std::string_view what);

  // Throws Error(kFile): "FILE: PROBLEM."
  [[noreturn]] void fail(std::string_view problem) const;

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  size_t position_ = 0;
};

}  // namespace orthrus
