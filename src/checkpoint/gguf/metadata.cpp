#include "checkpoint/gguf/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/counted.h"
#include "files/display.h"

namespace orthrus {
namespace {

constexpr auto kTypes = static_cast<uint32_t>(GgufType::kF64) + 1;

// Bytes of a value; of a string, those of its length, which are the least that it takes.
size_t least_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kString:
    case GgufType::kArray:
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
  }
  return 8;
}

std::string_view plural_of(GgufType type) {
  switch (type) {
    case GgufType::kBool:
      return "booleans";
    case GgufType::kString:
      return "strings";
    case GgufType::kF32:
    case GgufType::kF64:
      return "floating-point numbers";
    default:
      return "integers";
  }
}

template <typename T>
T number_at(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// Element `i` of integers of any type; nothing when 64 bits with a sign cannot hold it.
std::optional<int64_t> integer_at(const GgufValue& value, size_t i) {
  const std::byte* at = value.bytes.data() + i * least_bytes(value.type);
  switch (value.type) {
    case GgufType::kU8:
      return number_at<uint8_t>(at);
    case GgufType::kI8:
      return number_at<int8_t>(at);
    case GgufType::kU16:
      return number_at<uint16_t>(at);
    case GgufType::kI16:
      return number_at<int16_t>(at);
    case GgufType::kU32:
      return number_at<uint32_t>(at);
    case GgufType::kI32:
      return number_at<int32_t>(at);
    case GgufType::kI64:
      return number_at<int64_t>(at);
    case GgufType::kU64: {
      const auto number = number_at<uint64_t>(at);
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(number);
    }
    default:
      return std::nullopt;
  }
}

// The next string of bytes that have been checked, which it is taken from.
std::string_view take_string(std::span<const std::byte>& bytes) {
  const auto length = static_cast<size_t>(number_at<uint64_t>(bytes.data()));
  const auto* text = reinterpret_cast<const char*>(bytes.data() + sizeof(uint64_t));
  bytes = bytes.subspan(sizeof(uint64_t) + length);
  return {text, length};
}

GgufType read_type(ByteReader& reader, const std::string& what) {
  const auto type = reader.number<uint32_t>("the type of " + what);
  if (type >= kTypes) {
    reader.fail(
        fmt::format("the type of {} is {}; there are types 0 to {}", what, type, kTypes - 1));
  }
  return static_cast<GgufType>(type);
}

GgufValue read_value(ByteReader& reader, const std::string& what) {
  GgufValue value{read_type(reader, what), false, 1, {}};
  if (value.type == GgufType::kArray) {
    value.is_array = true;
    value.type = read_type(reader, "the elements of " + what);
    if (value.type == GgufType::kArray) {
      reader.fail(fmt::format("{} is an array of arrays; its elements must be plain values", what));
    }
    const auto count = reader.number<uint64_t>("the length of " + what);
    if (count > reader.left() / least_bytes(value.type)) {
      reader.fail(fmt::format(
          "{} is an array of {} {}, but the file has only {} after byte {}; it "
          "may be cut short",
          what, count, plural_of(value.type), counted(reader.left(), "byte"), reader.position()));
    }
    value.count = static_cast<size_t>(count);
  }
  if (value.type != GgufType::kString) {
    value.bytes = reader.take(value.count * least_bytes(value.type), what);
  } else {
    ByteReader end = reader;
    for (size_t i = 0; i < value.count; ++i) end.string(what);
    value.bytes = reader.take(end.position() - reader.position(), what);
  }
  if (value.type == GgufType::kBool) {
    for (const std::byte byte : value.bytes) {
      if (byte > std::byte{1}) {
        reader.fail(fmt::format("{} is a boolean of value {}; it must be 0 or 1", what,
                                static_cast<int>(byte)));
      }
    }
  }
  return value;
}

}  // namespace

std::string shown(const GgufValue& value) {
  if (value.is_array) return fmt::format("an array of {} {}", value.count, plural_of(value.type));
  std::span<const std::byte> bytes = value.bytes;
  switch (value.type) {
    case GgufType::kBool:
      return bytes[0] == std::byte{0} ? "false" : "true";
    case GgufType::kString:
      return in_quotes(take_string(bytes));
    case GgufType::kF32:
      return fmt::format("{}", number_at<float>(bytes.data()));
    case GgufType::kF64:
      return fmt::format("{}", number_at<double>(bytes.data()));
    case GgufType::kU64:
      return fmt::format("{}", number_at<uint64_t>(bytes.data()));
    default:
      return fmt::format("{}", integer_at(value, 0).value_or(0));
  }
}

GgufMetadata GgufMetadata::read(ByteReader& reader, uint64_t count) {
  GgufMetadata metadata;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = reader.string("a key of the metadata");
    metadata.entries_.push_back({key, read_value(reader, printable(key))});
  }
  std::ranges::sort(metadata.entries_, {}, &Entry::key);
  const auto twin = std::ranges::adjacent_find(metadata.entries_, {}, &Entry::key);
  if (twin != metadata.entries_.end()) {
    reader.fail(fmt::format("the metadata has the key {} twice", in_quotes(twin->key)));
  }
  return metadata;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto it = std::ranges::lower_bound(entries_, key, {}, &Entry::key);
  return it != entries_.end() && it->key == key ? &it->value : nullptr;
}

GgufFields::GgufFields(const GgufMetadata& metadata, const std::string& file, Problems& problems)
    : metadata_(metadata), file_(file), problems_(problems) {}

bool GgufFields::boolean(std::string_view key, bool fallback) const {
  const GgufValue* value = metadata_.find(key);
  if (value == nullptr) return fallback;
  if (value->type == GgufType::kBool && !value->is_array) return value->bytes[0] != std::byte{0};
  refuse(key, "it must be true or false");
  return fallback;
}

int GgufFields::integer(std::string_view key, int low, int high,
                        std::optional<int> fallback) const {
  const GgufValue* value = metadata_.find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value != nullptr && !value->is_array) {
    const auto integer = integer_at(*value, 0);
    if (integer && *integer >= low && *integer <= high) return static_cast<int>(*integer);
  }
  refuse(key, fmt::format("it must be an integer from {} to {}", low, high));
  return high;
}

double GgufFields::positive(std::string_view key, std::optional<double> fallback) const {
  const GgufValue* value = metadata_.find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value != nullptr && !value->is_array) {
    double number = 0;
    if (value->type == GgufType::kF32) number = number_at<float>(value->bytes.data());
    if (value->type == GgufType::kF64) number = number_at<double>(value->bytes.data());
    using Limits = std::numeric_limits<float>;
    if (number >= Limits::min() && number <= Limits::max()) return number;
  }
  refuse(key, "it must be a floating-point number above 0 that 32 bits can hold");
  return 1;
}

std::string_view GgufFields::text(std::string_view key,
                                  std::optional<std::string_view> fallback) const {
  const GgufValue* value = metadata_.find(key);
  if (value == nullptr && fallback) return *fallback;
  if (value != nullptr && !value->is_array && value->type == GgufType::kString) {
    std::span<const std::byte> bytes = value->bytes;
    return take_string(bytes);
  }
  refuse(key, "it must be a string");
  return {};
}

std::vector<std::string_view> GgufFields::texts(std::string_view key) const {
  const GgufValue* value = metadata_.find(key);
  std::vector<std::string_view> result;
  if (value == nullptr || !value->is_array || value->type != GgufType::kString) {
    refuse(key, "it must be an array of strings");
    return result;
  }
  result.reserve(value->count);
  std::span<const std::byte> bytes = value->bytes;
  for (size_t i = 0; i < value->count; ++i) result.push_back(take_string(bytes));
  return result;
}

std::vector<int32_t> GgufFields::integers(std::string_view key, int low, int high) const {
  const GgufValue* value = metadata_.find(key);
  const std::string expectation =
      fmt::format("it must be an array of integers from {} to {}", low, high);
  std::vector<int32_t> result;
  if (value == nullptr || !value->is_array) {
    refuse(key, expectation);
    return result;
  }
  for (size_t i = 0; i < value->count; ++i) {
    const auto integer = integer_at(*value, i);
    if (!integer || *integer < low || *integer > high) {
      refuse(key, !integer ? expectation
                           : fmt::format("element {} is {}; {}", i, *integer, expectation));
      break;
    }
    result.push_back(static_cast<int32_t>(*integer));
  }
  return result;
}

void GgufFields::refuse(std::string_view key, std::string_view expectation, ErrorKind kind) const {
  const GgufValue* value = metadata_.find(key);
  problems_.add(kind, fmt::format("{}: {} is {}; {}.", file_, printable(key),
                                  value == nullptr ? "missing" : shown(*value), expectation));
}

}  // namespace orthrus
