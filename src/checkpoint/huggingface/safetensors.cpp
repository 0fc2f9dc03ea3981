#include "checkpoint/huggingface/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/counted.h"
#include "checkpoint/huggingface/safetensors_header.h"
#include "files/display.h"
#include "files/recognize.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

static_assert(std::endian::native == std::endian::little,
              "The tensors are used where they lie in the file, which is little-endian.");

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit

// The header's text, checked to lie within the file.
std::string_view header_of(std::span<const std::byte> bytes, const std::string& name) {
  const auto fail = [&](std::string_view problem) {
    const std::string_view beginning(reinterpret_cast<const char*>(bytes.data()),
                                     std::min<size_t>(bytes.size(), 64));
    const std::string_view what = what_it_is(beginning);
    throw Error(ErrorKind::kFile,
                fmt::format("{}: is not a safetensors file: {}.", name,
                            what.empty() || what == kItIsSafetensors ? problem : what));
  };
  if (bytes.size() < kLengthBytes) {
    fail(fmt::format("it has {}, and must start with the 8 of its header's length",
                     counted(bytes.size(), "byte")));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    fail(fmt::format("its header's length is {}; it may be {} at most", length, kMaxHeaderBytes));
  }
  if (length > bytes.size() - kLengthBytes) {
    fail(
        fmt::format("its header's length is {}, but the file has only {} after it; it may "
                    "be cut short",
                    length, counted(bytes.size() - kLengthBytes, "byte")));
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                                static_cast<size_t>(length));
  if (!header.starts_with('{')) {
    fail(fmt::format("its header starts with {}; it must be a JSON object",
                     in_quotes(header.substr(0, 1))));
  }
  return header;
}

// The size that type and shape ask for; nothing when it is more than any file has.
std::optional<uint64_t> size_in_bytes(size_t element, std::span<const int64_t> shape) {
  uint64_t size = element;
  for (const int64_t dimension : shape) {
    const auto factor = static_cast<uint64_t>(dimension);
    if (factor != 0 && size > std::numeric_limits<uint64_t>::max() / factor) return std::nullopt;
    size *= factor;
  }
  return size;
}

// That the entry's bytes lie within `bytes` of data.
void check_place(const HeaderEntry& entry, size_t bytes, const std::string& file) {
  const auto fail = [&](std::string_view problem) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: tensor {} has data_offsets [{}, {}], {}.", file,
                            in_quotes(entry.name), entry.begin, entry.end, problem));
  };
  if (entry.begin > entry.end) fail("which run backwards");
  if (entry.end > bytes) {
    fail(fmt::format("but the file has only {} of data; it may be cut short",
                     counted(bytes, "byte")));
  }
}

void check_names_differ(std::span<const HeaderEntry> sorted, const std::string& file) {
  const auto twin = std::ranges::adjacent_find(sorted, {}, &HeaderEntry::name);
  if (twin == sorted.end()) return;
  throw Error(ErrorKind::kFile,
              fmt::format("{}: tensor {} is there twice.", file, in_quotes(twin->name)));
}

void check_covers(std::span<const HeaderEntry> entries, size_t bytes, const std::string& file) {
  std::vector<const HeaderEntry*> by_place;
  by_place.reserve(entries.size());
  for (const HeaderEntry& entry : entries) by_place.push_back(&entry);
  std::ranges::sort(by_place, {}, [](const HeaderEntry* e) { return std::pair(e->begin, e->end); });

  const auto fail = [&file](std::string_view problem) {
    throw Error(ErrorKind::kFile, fmt::format("{}: {}.", file, problem));
  };
  uint64_t covered = 0;
  const HeaderEntry* previous = nullptr;
  for (const HeaderEntry* entry : by_place) {
    if (entry->begin < covered) {
      fail(fmt::format("tensors {} and {} overlap at byte {} of the data",
                       in_quotes(previous->name), in_quotes(entry->name), entry->begin));
    }
    if (entry->begin > covered) {
      fail(fmt::format("bytes {} to {} of the data, before tensor {}, belong to none", covered,
                       entry->begin, in_quotes(entry->name)));
    }
    covered = entry->end;
    previous = entry;
  }
  if (covered != bytes) {
    fail(fmt::format("the data has {}, but its tensors end at byte {}", counted(bytes, "byte"),
                     covered));
  }
}

[[noreturn]] void refuse_type(const std::string& file, const std::string& tensor,
                              const std::string& type) {
  constexpr std::string_view kQuantized[] = {"F8_E4M3", "I32", "I64"};
  const bool quantized = std::ranges::find(kQuantized, type) != std::end(kQuantized);
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("{}: dtype of tensor {} is {}; supported are \"F32\", \"F16\" and "
                  "\"BF16\"{}.",
                  file, in_quotes(tensor), in_quotes(type),
                  quantized ? ", and what quantization_config in config.json describes" : ""));
}

// Bytes of an element of each type that safetensors has.
size_t element_bytes(const HeaderEntry& entry, const std::string& file) {
  constexpr std::pair<std::string_view, size_t> kTypes[] = {
      {"F32", 4},  {"F16", 2}, {"BF16", 2},    {"F64", 8},     {"I64", 8},    {"I32", 4},
      {"I16", 2},  {"I8", 1},  {"U64", 8},     {"U32", 4},     {"U16", 2},    {"U8", 1},
      {"BOOL", 1}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};
  for (const auto& [type, bytes] : kTypes) {
    if (entry.type == type) return bytes;
  }
  refuse_type(file, entry.name, entry.type);
}

// The tensor of an entry whose place has been checked.
StoredTensor stored_tensor(HeaderEntry entry, std::span<const std::byte> data,
                           const std::string& file) {
  const uint64_t held = entry.end - entry.begin;
  const auto fail = [&](std::string_view problem) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: tensor {} is {} [{}], which {}.", file, in_quotes(entry.name),
                            entry.type, fmt::join(entry.shape, ", "), problem));
  };
  const std::optional<uint64_t> size = size_in_bytes(element_bytes(entry, file), entry.shape);
  if (!size) fail("is more bytes than 64 bits can count");
  if (*size != held) {
    fail(fmt::format("takes {}, but has data_offsets [{}, {}], which hold {}",
                     counted(*size, "byte"), entry.begin, entry.end, held));
  }
  return {std::move(entry.name), std::move(entry.type), std::move(entry.shape),
          data.subspan(static_cast<size_t>(entry.begin), static_cast<size_t>(held)), file};
}

}  // namespace

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name,
                                  const std::function<bool(const std::string&)>& wanted) {
  const std::string_view text = header_of(bytes, name);
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + text.size());
  SafetensorsHeader header = parse_safetensors_header(text, name);
  for (const HeaderEntry& entry : header.entries) check_place(entry, data.size(), name);
  std::ranges::sort(header.entries, {}, &HeaderEntry::name);
  check_names_differ(header.entries, name);
  check_covers(header.entries, data.size(), name);
  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  for (HeaderEntry& entry : header.entries) {
    if (wanted && !wanted(entry.name)) continue;
    file.tensors.push_back(stored_tensor(std::move(entry), data, name));
  }
  return file;
}

Tensor as_tensor(StoredTensor stored) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    if (stored.type != name_of(type)) continue;
    return {std::move(stored.name), type, std::move(stored.shape), stored.bytes.data(),
            stored.bytes.size()};
  }
  refuse_type(stored.file, stored.name, stored.type);
}

std::vector<Tensor> as_tensors(std::vector<StoredTensor> stored) {
  std::vector<Tensor> tensors;
  for (StoredTensor& tensor : stored) tensors.push_back(as_tensor(std::move(tensor)));
  return tensors;
}

}  // namespace orthrus
