// The metadata of a GGUF file: a table of keys and typed values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf/byte_reader.h"
#include "checkpoint/problems.h"

namespace orthrus {

// As files number them.
enum class GgufType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

// A value, or an array of them. All of it lies in the file: its bytes are whole values of its type,
// strings each with its length.
struct GgufValue {
  GgufType type;  // of the elements, if it is an array; never kArray
  bool is_array;
  size_t count;  // of elements; 1 if it is not an array
  std::span<const std::byte> bytes;
};

// "3", "true", in quotes, or "an array of 3 strings"; short and printable.
std::string shown(const GgufValue& value);

class GgufMetadata {
 public:
  // Reads `count` pairs of key and value. `file` stands for the file in messages. Throws
  // Error(kFile) for what is malformed, for a key that is there twice, and, as the published
  // format's readers do, for arrays in arrays.
  static GgufMetadata read(ByteReader& reader, uint64_t count);

  const GgufValue* find(std::string_view key) const;  // null when there is none

  struct Entry {
    std::string_view key;
    GgufValue value;
  };
  const std::vector<Entry>& entries() const { return entries_; }  // sorted by key

 private:
  std::vector<Entry> entries_;
};

// Typed, checked access. The getters check a value and record what is wrong with it; they then
// return some value in range, which nobody will see because Problems::throw_if_any comes first.
// Without a `fallback`, the key must be there. An integer may be of any of the integer types.
class GgufFields {
 public:
  // All three must outlive this. `file` stands for the file in messages.
  GgufFields(const GgufMetadata& metadata, const std::string& file, Problems& problems);

  bool has(std::string_view key) const { return metadata_.find(key) != nullptr; }

  bool boolean(std::string_view key, bool fallback) const;
  int integer(std::string_view key, int low, int high, std::optional<int> fallback = {}) const;
  // Above 0, as a 32-bit float too.
  double positive(std::string_view key, std::optional<double> fallback = {}) const;
  // The bytes are those of the file: of any encoding, and valid as long as it is mapped.
  std::string_view text(std::string_view key, std::optional<std::string_view> fallback = {}) const;

  std::vector<std::string_view> texts(std::string_view key) const;
  std::vector<int32_t> integers(std::string_view key, int low, int high) const;

  // Records that the value cannot be used: "FILE: KEY is VALUE; EXPECTATION."
  void refuse(std::string_view key, std::string_view expectation,
              ErrorKind kind = ErrorKind::kFile) const;

 private:
  const GgufMetadata& metadata_;
  const std::string& file_;
  Problems& problems_;
};

}  // namespace orthrus
