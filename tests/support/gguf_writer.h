// Writes GGUF files for tests: well-formed ones, and such as have any of their numbers wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/safetensors_writer.h"

namespace orthrus::test {

// ggml's number of a type.
inline uint32_t gguf_type_of(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kBF16:
      return 30;
    case DType::kQ8_0:
      return 8;
    case DType::kQ4_0:
      return 2;
    case DType::kQ5_0:
      return 6;
    case DType::kQ4_K:
      return 12;
    case DType::kQ5_K:
      return 13;
    case DType::kQ6_K:
      return 14;
    case DType::kIQ4_NL:
      return 20;
    case DType::kIQ4_XS:
      return 23;
  }
  throw std::runtime_error("no such type");
}

template <typename T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

inline std::string gguf_string(std::string_view text) {
  return little_endian(uint64_t{text.size()}).append(text);
}

class GgufWriter {
 public:
  // A line of the table of tensors, as the file has it.
  struct Entry {
    std::string name;
    std::vector<uint64_t> dimensions;  // the contiguous one first
    uint32_t type = 0;
    std::string data;
    std::optional<uint64_t> offset = {};  // by default where the data is put
    std::optional<uint32_t> dimension_count = {};
  };

  GgufWriter& text(std::string_view key, std::string_view value) {
    return raw(key, kString, gguf_string(value));
  }
  GgufWriter& u16(std::string_view key, uint16_t value) {
    return raw(key, kU16, little_endian(value));
  }
  GgufWriter& u32(std::string_view key, uint32_t value) {
    return raw(key, kU32, little_endian(value));
  }
  GgufWriter& i32(std::string_view key, int32_t value) {
    return raw(key, kI32, little_endian(value));
  }
  GgufWriter& f32(std::string_view key, float value) {
    return raw(key, kF32, little_endian(value));
  }
  GgufWriter& boolean(std::string_view key, bool value) {
    return raw(key, kBool, std::string(1, value ? '\1' : '\0'));
  }
  GgufWriter& texts(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes;
    for (const std::string& value : values) bytes += gguf_string(value);
    return array(key, kString, values.size(), bytes);
  }
  GgufWriter& i32s(std::string_view key, const std::vector<int32_t>& values) {
    std::string bytes;
    for (const int32_t value : values) bytes += little_endian(value);
    return array(key, kI32, values.size(), bytes);
  }

  GgufWriter& array(std::string_view key, uint32_t type, uint64_t count, std::string_view bytes) {
    return raw(key, kArray, (little_endian(type) + little_endian(count)).append(bytes));
  }

  // Any type, any bytes; a key that is there already is replaced.
  GgufWriter& raw(std::string_view key, uint32_t type, std::string bytes) {
    without(key);
    return repeated(key, type, std::move(bytes));
  }
  GgufWriter& repeated(std::string_view key, uint32_t type, std::string bytes) {
    keys_.emplace_back(std::string(key), little_endian(type) + std::move(bytes));
    return *this;
  }
  GgufWriter& without(std::string_view key) {
    std::erase_if(keys_, [&](const auto& entry) { return entry.first == key; });
    return *this;
  }

  // `tensor.shape` is row-major, `tensor.bytes` whole rows of blocks.
  GgufWriter& tensor(const TensorToWrite& tensor) {
    return entry({.name = tensor.name,
                  .dimensions = {tensor.shape.rbegin(), tensor.shape.rend()},
                  .type = gguf_type_of(tensor.type),
                  .data = tensor.bytes});
  }
  GgufWriter& entry(Entry entry) {
    entries.push_back(std::move(entry));
    return *this;
  }

  std::string file() const {
    std::string table, data;
    for (const Entry& entry : entries) {
      data.resize((data.size() + alignment - 1) / alignment * alignment, '\0');
      table += gguf_string(entry.name);
      table += little_endian(
          entry.dimension_count.value_or(static_cast<uint32_t>(entry.dimensions.size())));
      for (const uint64_t dimension : entry.dimensions) table += little_endian(dimension);
      table += little_endian(entry.type);
      table += little_endian(entry.offset.value_or(data.size()));
      data += entry.data;
    }
    std::string file = "GGUF" + little_endian(version);
    file += little_endian(tensor_count.value_or(entries.size()));
    file += little_endian(key_count.value_or(keys_.size()));
    for (const auto& [key, value] : keys_) file += gguf_string(key) + value;
    file += table;
    file.resize((file.size() + alignment - 1) / alignment * alignment, '\0');
    return file + data;
  }

  void write(const std::filesystem::path& path) const { write_file(path, file()); }

  std::vector<Entry> entries;
  uint32_t version = 3;
  size_t alignment = 32;  // that data is written with; general.alignment is a key as any other
  std::optional<uint64_t> tensor_count, key_count;  // other than there are

  static constexpr uint32_t kU8 = 0, kU16 = 2, kU32 = 4, kI32 = 5, kF32 = 6, kBool = 7, kString = 8,
                            kArray = 9, kU64 = 10, kI64 = 11, kF64 = 12;

 private:
  std::vector<std::pair<std::string, std::string>> keys_;  // with type and value
};

}  // namespace orthrus::test
