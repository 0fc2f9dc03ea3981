#include "checkpoint/huggingface/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "checkpoint/huggingface/safetensors_header.h"
#include "files/display.h"
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
  const auto fail = [&name](std::string_view problem) {
    throw Error(ErrorKind::kFile, fmt::format("{}: is not a safetensors file: {}.", name, problem));
  };
  if (bytes.size() < kLengthBytes) {
    fail(fmt::format("it has {} bytes, and must start with the 8 of its header's length",
                     bytes.size()));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    fail(fmt::format("its header's length is {}; it may be {} at most", length, kMaxHeaderBytes));
  }
  if (length > bytes.size() - kLengthBytes) {
    fail(
        fmt::format("its header's length is {}, but the file has only {} bytes after it; it may "
                    "be cut short",
                    length, bytes.size() - kLengthBytes));
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
std::optional<uint64_t> size_in_bytes(DType type, std::span<const int64_t> shape) {
  uint64_t size = static_cast<uint64_t>(format_of(type).block_bytes);
  for (const int64_t dimension : shape) {
    const auto factor = static_cast<uint64_t>(dimension);
    if (factor != 0 && size > std::numeric_limits<uint64_t>::max() / factor) return std::nullopt;
    size *= factor;
  }
  return size;
}

// The tensor of one entry, checked to lie within the data, which is at byte `start` of the file.
Tensor make_tensor(HeaderEntry entry, std::span<const std::byte> data, size_t start,
                   const std::string& file) {
  const auto fail = [&](std::string_view problem) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: tensor {} {}.", file, in_quotes(entry.name), problem));
  };
  const uint64_t begin = entry.begin;
  const uint64_t end = entry.end;
  if (begin > end) fail(fmt::format("has data_offsets [{}, {}], which run backwards", begin, end));
  if (end > data.size()) {
    fail(
        fmt::format("has data_offsets [{}, {}], but the file has only {} bytes of data; it may be "
                    "cut short",
                    begin, end, data.size()));
  }
  const std::optional<uint64_t> size = size_in_bytes(entry.type, entry.shape);
  const auto type = [&] {
    return fmt::format("{} [{}]", name_of(entry.type), fmt::join(entry.shape, ", "));
  };
  if (!size) fail(fmt::format("is {}, which is more bytes than 64 bits can count", type()));
  if (*size != end - begin) {
    fail(fmt::format("is {}, which takes {} bytes, but has data_offsets [{}, {}], which hold {}",
                     type(), *size, begin, end, end - begin));
  }
  if ((start + begin) % format_of(entry.type).block_bytes != 0) {
    fail(
        fmt::format("is {} at byte {} of the file, which is not a multiple of {}; save the file "
                    "again with a current version of safetensors, which aligns tensors",
                    name_of(entry.type), start + begin, format_of(entry.type).block_bytes));
  }
  return {std::move(entry.name), entry.type, std::move(entry.shape),
          data.data() + static_cast<size_t>(begin), static_cast<size_t>(*size)};
}

void check_names_differ(std::span<const Tensor> sorted, const std::string& file) {
  const auto twin = std::ranges::adjacent_find(sorted, {}, &Tensor::name);
  if (twin == sorted.end()) return;
  throw Error(ErrorKind::kFile,
              fmt::format("{}: tensor {} is there twice.", file, in_quotes(twin->name)));
}

void check_covers(std::span<const Tensor> tensors, std::span<const std::byte> data,
                  const std::string& file) {
  std::vector<const Tensor*> by_place;
  by_place.reserve(tensors.size());
  for (const Tensor& tensor : tensors) by_place.push_back(&tensor);
  std::ranges::sort(by_place, {}, [](const Tensor* t) { return std::pair(t->data, t->bytes); });

  const auto offset_of = [&data](const std::byte* place) { return place - data.data(); };
  const std::byte* covered = data.data();
  const Tensor* previous = nullptr;
  for (const Tensor* tensor : by_place) {
    if (tensor->data < covered) {
      throw Error(
          ErrorKind::kFile,
          fmt::format("{}: tensors {} and {} overlap at byte {} of the data.", file,
                      in_quotes(previous->name), in_quotes(tensor->name), offset_of(tensor->data)));
    }
    if (tensor->data > covered) {
      throw Error(
          ErrorKind::kFile,
          fmt::format("{}: bytes {} to {} of the data, before tensor {}, belong to none.", file,
                      offset_of(covered), offset_of(tensor->data), in_quotes(tensor->name)));
    }
    covered = tensor->data + tensor->bytes;
    previous = tensor;
  }
  if (covered != data.data() + data.size()) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: the data has {} bytes, but its tensors end at byte {}.", file,
                            data.size(), offset_of(covered)));
  }
}

}  // namespace

SafetensorsFile parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text = header_of(bytes, name);
  const size_t start = kLengthBytes + text.size();
  const std::span<const std::byte> data = bytes.subspan(start);
  SafetensorsHeader header = parse_safetensors_header(text, name);
  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  for (HeaderEntry& entry : header.entries) {
    file.tensors.push_back(make_tensor(std::move(entry), data, start, name));
  }
  std::ranges::sort(file.tensors, {}, &Tensor::name);
  check_names_differ(file.tensors, name);
  check_covers(file.tensors, data, name);
  return file;
}

}  // namespace orthrus
