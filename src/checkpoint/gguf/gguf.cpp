#include "checkpoint/gguf/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "base/counted.h"
#include "files/display.h"
#include "files/recognize.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kDefaultAlignment = 32;
constexpr int kMinAlignment = 8;  // the specification asks for a multiple of 8
constexpr int kMaxAlignment = 1 << 16;
constexpr uint32_t kMaxDimensions = 4;

// Far above any model's. Each count is also checked against the bytes that its entries take at
// least: a key of no bytes with a value of one, a tensor without a name and with one dimension.
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 16;
constexpr uint64_t kMinKeyBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

// ggml's numbers of types, and their names. Those without a DType are not read.
struct TensorType {
  uint32_t id;
  std::string_view name;
  std::optional<DType> type = {};
};
constexpr std::array kTensorTypes = {
    TensorType{0, "F32", DType::kF32},
    TensorType{1, "F16", DType::kF16},
    TensorType{2, "Q4_0", DType::kQ4_0},
    TensorType{3, "Q4_1"},
    TensorType{6, "Q5_0", DType::kQ5_0},
    TensorType{7, "Q5_1"},
    TensorType{8, "Q8_0", DType::kQ8_0},
    TensorType{9, "Q8_1"},
    TensorType{10, "Q2_K"},
    TensorType{11, "Q3_K"},
    TensorType{12, "Q4_K", DType::kQ4_K},
    TensorType{13, "Q5_K", DType::kQ5_K},
    TensorType{14, "Q6_K", DType::kQ6_K},
    TensorType{15, "Q8_K"},
    TensorType{16, "IQ2_XXS"},
    TensorType{17, "IQ2_XS"},
    TensorType{18, "IQ3_XXS"},
    TensorType{19, "IQ1_S"},
    TensorType{20, "IQ4_NL", DType::kIQ4_NL},
    TensorType{21, "IQ3_S"},
    TensorType{22, "IQ2_S"},
    TensorType{23, "IQ4_XS", DType::kIQ4_XS},
    TensorType{24, "I8"},
    TensorType{25, "I16"},
    TensorType{26, "I32"},
    TensorType{27, "I64"},
    TensorType{28, "F64"},
    TensorType{29, "IQ1_M"},
    TensorType{30, "BF16", DType::kBF16},
    TensorType{34, "TQ1_0"},
    TensorType{35, "TQ2_0"},
    TensorType{39, "MXFP4"},
};

std::string supported_types() {
  std::string names;
  for (const TensorType& type : kTensorTypes) {
    if (type.type) names += fmt::format("{}{}", names.empty() ? "" : ", ", type.name);
  }
  return names;
}

// Reads one file from its beginning to its end.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file), reader_(bytes, file) {}

  GgufFile parse() {
    read_magic_and_version();
    const auto tensors = reader_.number<uint64_t>("the number of tensors");
    const auto keys = reader_.number<uint64_t>("the number of keys");
    check_count(keys, "keys", kMaxKeys, kMinKeyBytes);
    check_count(tensors, "tensors", kMaxTensors, kMinTensorBytes);
    result_.metadata = GgufMetadata::read(reader_, keys);
    read_alignment();
    for (uint64_t i = 0; i < tensors; ++i) read_entry();
    place_tensors();
    return std::move(result_);
  }

 private:
  void read_magic_and_version() {
    const std::string_view beginning(reinterpret_cast<const char*>(bytes_.data()),
                                     std::min<size_t>(bytes_.size(), 64));
    if (!beginning.starts_with(kMagic)) {
      const std::string_view what = what_it_is(beginning);
      reader_.fail(fmt::format(
          "is not a GGUF file, which starts with \"GGUF\"; it starts with {}{}{}",
          in_quotes(beginning.substr(0, kMagic.size())), what.empty() ? "" : ": ", what));
    }
    reader_.take(kMagic.size(), "GGUF");
    const auto version = reader_.number<uint32_t>("the version");
    if (version == 2 || version == 3) return;
    const bool big_endian = version != 0 && (version & 0xffff) == 0;
    throw Error(
        ErrorKind::kUnsupported,
        big_endian
            ? fmt::format("{}: is big-endian; supported are little-endian files.", file_)
            : fmt::format("{}: its version of GGUF is {}; supported are 2 and 3.", file_, version));
  }

  void check_count(uint64_t count, std::string_view what, uint64_t most, uint64_t least_bytes) {
    if (count > most) {
      reader_.fail(fmt::format("says it has {} {}; it may have {} at most", count, what, most));
    }
    if (count > reader_.left() / least_bytes) {
      reader_.fail(
          fmt::format("says it has {} {}, but has only {} after byte {}; it may be "
                      "cut short",
                      count, what, counted(reader_.left(), "byte"), reader_.position()));
    }
  }

  void read_alignment() {
    constexpr const char* kKey = "general.alignment";
    Problems problems;
    const GgufFields fields(result_.metadata, file_, problems);
    alignment_ = static_cast<uint64_t>(
        fields.integer(kKey, kMinAlignment, kMaxAlignment, static_cast<int>(kDefaultAlignment)));
    if (problems.none() && !std::has_single_bit(alignment_)) {
      fields.refuse(kKey, "it must be a power of two");
    }
    problems.throw_if_any();
  }

  // One line of the table of tensors. What it says is checked as far as it can be before the place
  // of the data is known.
  void read_entry() {
    Tensor tensor;
    tensor.name = reader_.string("a tensor's name");
    const std::string what = "tensor " + in_quotes(tensor.name);
    const auto dimensions = reader_.number<uint32_t>(what);
    if (dimensions < 1 || dimensions > kMaxDimensions) {
      reader_.fail(fmt::format("{} has {} dimensions; it must have 1 to {}", what, dimensions,
                               kMaxDimensions));
    }
    for (uint32_t i = 0; i < dimensions; ++i) {
      // What was written as a negative number is a large one.
      const auto extent = reader_.number<int64_t>(what);
      if (extent < 1) {
        reader_.fail(
            fmt::format("dimension {} of {} is {}; it must be 1 at least", i, what, extent));
      }
      tensor.shape.push_back(extent);
    }
    tensor.type = read_type(what);
    tensor.bytes = size_in_bytes(tensor, what);
    std::ranges::reverse(tensor.shape);  // the file has the contiguous dimension first
    offsets_.push_back(reader_.number<uint64_t>(what));
    result_.tensors.push_back(std::move(tensor));
  }

  DType read_type(const std::string& what) {
    const auto id = reader_.number<uint32_t>(what);
    const auto known = std::ranges::find(kTensorTypes, id, &TensorType::id);
    if (known != kTensorTypes.end() && known->type) return *known->type;
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: {} is of type {}{}; supported are {}.", file_, what, id,
                            known == kTensorTypes.end() ? "" : fmt::format(" ({})", known->name),
                            supported_types()));
  }

  // The bytes of a tensor whose shape is still in the file's order.
  size_t size_in_bytes(const Tensor& tensor, const std::string& what) {
    const Format& format = format_of(tensor.type);
    if (tensor.shape[0] % format.block_columns != 0) {
      reader_.fail(
          fmt::format("{} is {} and has rows of {} numbers, which must be a multiple of "
                      "{}",
                      what, format.name, tensor.shape[0], format.block_columns));
    }
    const auto multiply = [&](size_t a, int64_t b) {
      size_t product = 0;
      if (__builtin_mul_overflow(a, static_cast<size_t>(b), &product)) {
        reader_.fail(fmt::format("{} is {} [{}], which is more bytes than 64 bits can count", what,
                                 format.name, fmt::join(tensor.shape, ", ")));
      }
      return product;
    };
    size_t bytes =
        multiply(static_cast<size_t>(format.block_bytes), tensor.shape[0] / format.block_columns);
    for (size_t i = 1; i < tensor.shape.size(); ++i) bytes = multiply(bytes, tensor.shape[i]);
    return bytes;
  }

  // Gives each tensor its data, and sorts them by name.
  void place_tensors() {
    std::vector<Tensor>& tensors = result_.tensors;
    if (tensors.empty()) return;
    const uint64_t start = (reader_.position() + alignment_ - 1) / alignment_ * alignment_;
    const uint64_t data_bytes = start < bytes_.size() ? bytes_.size() - start : 0;
    for (size_t i = 0; i < tensors.size(); ++i) {
      Tensor& tensor = tensors[i];
      const std::string what = "tensor " + in_quotes(tensor.name);
      const uint64_t offset = offsets_[i];
      if (offset % alignment_ != 0) {
        reader_.fail(fmt::format("{} has offset {}, which must be a multiple of {}", what, offset,
                                 alignment_));
      }
      if (offset > data_bytes || tensor.bytes > data_bytes - offset) {
        reader_.fail(
            fmt::format("{} takes {} from offset {}, but the file has only {} of data; "
                        "it may be cut short",
                        what, counted(tensor.bytes, "byte"), offset, counted(data_bytes, "byte")));
      }
      tensor.data = bytes_.data() + static_cast<size_t>(start + offset);
    }
    check_apart(start);
    std::ranges::sort(tensors, {}, &Tensor::name);
    const auto twin = std::ranges::adjacent_find(tensors, {}, &Tensor::name);
    if (twin != tensors.end()) {
      reader_.fail(fmt::format("tensor {} is there twice", in_quotes(twin->name)));
    }
  }

  void check_apart(uint64_t start) {
    std::vector<Tensor>& tensors = result_.tensors;
    std::ranges::sort(tensors, {}, &Tensor::data);
    for (size_t i = 1; i < tensors.size(); ++i) {
      const Tensor& before = tensors[i - 1];
      if (before.data + before.bytes <= tensors[i].data) continue;
      reader_.fail(fmt::format("tensors {} and {} overlap at offset {}", in_quotes(before.name),
                               in_quotes(tensors[i].name),
                               static_cast<uint64_t>(tensors[i].data - bytes_.data()) - start));
    }
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  ByteReader reader_;
  GgufFile result_;
  uint64_t alignment_ = kDefaultAlignment;
  std::vector<uint64_t> offsets_;  // in the order of the table
};

}  // namespace

GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& name) {
  return GgufParser(bytes, name).parse();
}

}  // namespace orthrus
