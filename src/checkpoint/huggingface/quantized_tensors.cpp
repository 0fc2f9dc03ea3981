#include "checkpoint/huggingface/quantized_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>

#include "base/ceil_div.h"
#include "checkpoint/limits.h"
#include "files/display.h"
#include "kernels/formats/fp8_encoding.h"
#include "kernels/formats/integer_encoding.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

using Method = Quantization::Method;
using Shape = std::vector<int64_t>;

constexpr std::string_view kFloats[] = {"F32", "F16", "BF16"};
constexpr std::string_view kWords[] = {"I32"};

std::string text_of(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}
std::string text_of(const StoredTensor& tensor) {
  return fmt::format("{} {}", tensor.type, text_of(tensor.shape));
}

[[noreturn]] void fail(const StoredTensor& tensor, std::string_view problem) {
  throw Error(ErrorKind::kFile,
              fmt::format("{}: tensor {} {}.", tensor.file, in_quotes(tensor.name), problem));
}

// The tensors of a checkpoint, of which matrices take their parts.
class Parts {
 public:
  explicit Parts(std::vector<StoredTensor> stored)
      : stored_(std::move(stored)), taken_(stored_.size()) {}

  size_t size() const { return stored_.size(); }
  const StoredTensor& operator[](size_t i) const { return stored_[i]; }
  void take(size_t i) { taken_[i] = true; }
  bool taken(size_t i) const { return taken_[i]; }

  // Null where there is none.
  const StoredTensor* take(const std::string& name) {
    const auto found = std::ranges::lower_bound(stored_, name, {}, &StoredTensor::name);
    if (found == stored_.end() || found->name != name) return nullptr;
    take(static_cast<size_t>(found - stored_.begin()));
    return &*found;
  }

  // What no matrix took.
  std::vector<Tensor> rest() && {
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < stored_.size(); ++i) {
      if (!taken_[i]) tensors.push_back(as_tensor(std::move(stored_[i])));
    }
    return tensors;
  }

 private:
  std::vector<StoredTensor> stored_;
  std::vector<bool> taken_;
};

// The parts of one matrix, of which `main` has its numbers.
class MatrixParts {
 public:
  MatrixParts(Parts& parts, const StoredTensor& main, std::string module,
              const Quantization& quantization)
      : parts_(parts), main_(main), module_(std::move(module)), quantization_(quantization) {}

  const StoredTensor& main() const { return main_; }
  size_t bytes() const { return bytes_; }

  const StoredTensor* find(std::string_view part) {
    const StoredTensor* const tensor = parts_.take(fmt::format("{}.{}", module_, part));
    if (tensor != nullptr) bytes_ += tensor->bytes.size();
    return tensor;
  }
  const StoredTensor& need(std::string_view part) {
    const StoredTensor* const tensor = find(part);
    if (tensor == nullptr) fail(main_, fmt::format("has no {} beside it", name_of(part)));
    return *tensor;
  }
  // For people.
  std::string name_of(std::string_view part) const {
    return fmt::format("{}.{}", printable(module_), part);
  }

  // That its type is one of `types` and its shape one of `shapes`, the first of which is told.
  static void check(const StoredTensor& tensor, std::span<const std::string_view> types,
                    std::initializer_list<Shape> shapes) {
    if (std::ranges::find(types, tensor.type) != types.end() &&
        std::ranges::find(shapes, tensor.shape) != shapes.end()) {
      return;
    }
    fail(tensor, fmt::format("is {}; it must be {} {}", text_of(tensor), fmt::join(types, " or "),
                             text_of(*shapes.begin())));
  }

  // The scheme of config.json's that `fits` takes. For messages: what the matrix has, and what it
  // would have by a scheme.
  template <typename Fits, typename Expected>
  const QuantizationScheme& scheme(const std::string& has, Fits fits, Expected expected) const {
    const auto found = std::ranges::find_if(quantization_.schemes, fits);
    if (found != quantization_.schemes.end()) return *found;
    constexpr size_t kMostTold = 4;
    std::vector<std::string> valid;
    for (const QuantizationScheme& scheme : quantization_.schemes) {
      if (valid.size() == kMostTold) break;
      valid.push_back(fmt::format("{}, where {}", expected(scheme), scheme.fields));
    }
    fail(main_, fmt::format("has {}; by {} it must have {}", has, quantization_.file,
                            fmt::join(valid, ", or ")));
  }

  const Quantization& quantization() const { return quantization_; }

 private:
  Parts& parts_;
  const StoredTensor& main_;
  std::string module_;
  const Quantization& quantization_;
  size_t bytes_ = 0;
};

// Rows and columns of a matrix, from a tensor of two dimensions.
std::pair<int, int> sizes(const StoredTensor& tensor, std::span<const std::string_view> types) {
  const Shape& shape = tensor.shape;
  const auto is_size = [](int64_t size) { return size > 0 && size <= limits::kVocab; };
  if (shape.size() != 2 || !std::ranges::all_of(shape, is_size) ||
      std::ranges::find(types, tensor.type) == types.end()) {
    fail(tensor, fmt::format("is {}; it must be {}, with two dimensions of 1 to {}",
                             text_of(tensor), fmt::join(types, " or "), +limits::kVocab));
  }
  return {static_cast<int>(shape[0]), static_cast<int>(shape[1])};
}

DType type_of(const StoredTensor& scales) {
  return scales.type == "F32" ? DType::kF32 : scales.type == "F16" ? DType::kF16 : DType::kBF16;
}

// Scales that lie as [rows][columns], or the other way round.
ScaleGrid scale_grid(const StoredTensor& tensor, int rows, int columns, bool transposed = false) {
  ScaleGrid grid{tensor.bytes.data(), type_of(tensor), static_cast<size_t>(rows),
                 static_cast<size_t>(columns)};
  grid.row_stride = transposed ? 1 : grid.columns;
  grid.column_stride = transposed ? grid.rows : 1;
  return grid;
}

void check_scales(const Encoding& encoding, const StoredTensor& scales) {
  if (std::isfinite(encoding.largest())) return;
  fail(scales, "holds NaN or infinity, or scales that make weights infinite; all must be finite");
}

std::shared_ptr<const Encoding> fp8_matrix(MatrixParts& parts) {
  constexpr std::string_view kFp8[] = {"F8_E4M3"};
  const StoredTensor& main = parts.need("weight");
  const auto [rows, columns] = sizes(main, kFp8);
  const bool is_fp8 = parts.quantization().method == Method::kFp8;
  const StoredTensor* const other = parts.find(is_fp8 ? "weight_scale" : "weight_scale_inv");
  const StoredTensor& scales =
      other != nullptr ? *other : parts.need(is_fp8 ? "weight_scale_inv" : "weight_scale");
  Fp8Matrix matrix{rows, columns, main.bytes.data(), {}, 0, 0};
  const auto grid_of = [&](const QuantizationScheme& scheme) {
    matrix.scale_rows = scheme.scale_rows == 0 ? matrix.rows : scheme.scale_rows;
    matrix.scale_columns = scheme.scale_columns == 0 ? matrix.columns : scheme.scale_columns;
    return Shape{ceil_div(matrix.rows, matrix.scale_rows),
                 ceil_div(matrix.columns, matrix.scale_columns)};
  };
  parts.scheme(
      fmt::format("floats of 8 bits, scales {}", text_of(scales)),
      [&](const QuantizationScheme& scheme) {
        if (!scheme.is_float) return false;
        const Shape grid = grid_of(scheme);
        const int64_t down = grid[0], across = grid[1];
        return scales.shape == grid || (across == 1 && scales.shape == Shape{down}) ||
               (across == 1 && down == 1 && scales.shape.empty());
      },
      [&](const QuantizationScheme& scheme) {
        return scheme.is_float ? fmt::format("scales {}", text_of(grid_of(scheme)))
                               : fmt::format("integers of {} bits", scheme.bits);
      });
  MatrixParts::check(scales, kFloats, {scales.shape});
  matrix.scales = scale_grid(scales, ceil_div(rows, matrix.scale_rows),
                             ceil_div(columns, matrix.scale_columns));
  auto encoding = std::make_shared<const Fp8Encoding>(matrix, parts.bytes());
  check_scales(*encoding, scales);
  return encoding;
}

// Which of an encoding's groups each column is of; nothing where they are of the usual ones.
std::vector<int> groups_of_columns(MatrixParts& parts, const StoredTensor& indices, int columns,
                                   int groups, int group_columns) {
  MatrixParts::check(indices, kWords, {{columns}});
  std::vector<int> of_column(static_cast<size_t>(columns));
  std::memcpy(of_column.data(), indices.bytes.data(), indices.bytes.size());
  // To compressed-tensors an index with -1 is one that was never filled.
  const bool unset = std::ranges::all_of(of_column, [](int group) { return group == -1; });
  if (unset && parts.quantization().method == Method::kCompressedTensors) return {};
  bool in_order = true;
  for (int k = 0; k < columns; ++k) {
    const int group = of_column[static_cast<size_t>(k)];
    if (group < 0 || group >= groups) {
      fail(indices, fmt::format("has {} for column {}; it must be 0 to {}", group, k, groups - 1));
    }
    in_order &= group == k / group_columns;
  }
  if (in_order) return {};
  if (parts.quantization().columns_in_order) {
    fail(indices, fmt::format("has groups whose columns are not neighbours, but "
                              "quantization_config.desc_act in {} is not true",
                              parts.quantization().file));
  }
  return of_column;
}

// What an integer matrix has beside its integers, which are there already, and the layouts of it.
struct IntegerParts {
  std::string_view source;  // for people
  IntegerMatrix matrix;
  const StoredTensor* scales = nullptr;
  const StoredTensor* zeros = nullptr;  // null where there are none
  const StoredTensor* groups = nullptr;
  bool by_group = false;  // scales and zero points lie as [groups][rows]
};

void place_scales(MatrixParts& parts, IntegerParts& from) {
  IntegerMatrix& matrix = from.matrix;
  const StoredTensor& scales = *from.scales;
  const size_t of_groups = from.by_group ? 0 : 1;
  if (scales.shape.size() != 2) {
    fail(scales, fmt::format("is {}; it must have two dimensions", text_of(scales)));
  }
  const int64_t groups = scales.shape[of_groups];
  const int64_t rows = matrix.rows;
  const auto shape = [&](int64_t count) {
    return from.by_group ? Shape{count, rows} : Shape{rows, count};
  };
  const auto groups_of = [&](const QuantizationScheme& scheme) {
    matrix.group_columns = scheme.scale_columns == 0 ? matrix.columns : scheme.scale_columns;
    return ceil_div(matrix.columns, matrix.group_columns);
  };
  // Files that have zero points at all have them with symmetric integers, too.
  const auto zeros = [&](bool any) {
    return from.by_group ? "" : any ? ", zero points" : ", no zero points";
  };
  const bool ordered = from.groups != nullptr;
  const auto order = [&](bool any) {
    return from.by_group ? "" : any ? ", weight_g_idx" : ordered ? ", no weight_g_idx" : "";
  };
  parts.scheme(
      fmt::format("integers of {} bits, scales {}{}{}", matrix.integers.bits, text_of(scales),
                  zeros(from.zeros != nullptr), order(ordered)),
      [&](const QuantizationScheme& scheme) {
        return !scheme.is_float && scheme.bits == matrix.integers.bits &&
               (from.by_group ||
                (scheme.symmetric == (from.zeros == nullptr) && scheme.by_activation == ordered)) &&
               groups == groups_of(scheme);
      },
      [&](const QuantizationScheme& scheme) -> std::string {
        if (scheme.is_float) return "floats of 8 bits";
        return fmt::format("integers of {} bits, scales {}{}{}", scheme.bits,
                           text_of(shape(groups_of(scheme))), zeros(!scheme.symmetric),
                           order(scheme.by_activation));
      });
  MatrixParts::check(scales, kFloats, {shape(groups)});
  matrix.scales = scale_grid(scales, matrix.rows, static_cast<int>(groups), from.by_group);
}

void place_zeros(IntegerParts& from) {
  if (from.zeros == nullptr) return;
  IntegerMatrix& matrix = from.matrix;
  IntegerGrid grid{from.zeros->bytes.data(), matrix.integers.bits, true};
  const auto groups = static_cast<int64_t>(matrix.scales.columns);
  const int64_t words = ceil_div(matrix.rows, grid.per_word());
  MatrixParts::check(*from.zeros, kWords,
                     {from.by_group ? Shape{groups, words} : Shape{words, groups}});
  grid.row_stride = from.by_group ? 1 : matrix.scales.columns;
  grid.column_stride = from.by_group ? static_cast<size_t>(words) : 1;
  if (matrix.integers.along_rows) grid.fields = matrix.integers.fields;
  matrix.zeros = grid;
}

std::shared_ptr<const IntegerEncoding> integer_matrix(MatrixParts& parts, IntegerParts from) {
  place_scales(parts, from);
  place_zeros(from);
  IntegerMatrix& matrix = from.matrix;
  if (from.groups != nullptr) {
    matrix.groups =
        groups_of_columns(parts, *from.groups, matrix.columns,
                          static_cast<int>(matrix.scales.columns), matrix.group_columns);
  }
  auto encoding =
      std::make_shared<const IntegerEncoding>(std::move(matrix), from.source, parts.bytes());
  check_scales(*encoding, *from.scales);
  return encoding;
}

// How many rows or columns are in `words` words of them.
int unpacked(const StoredTensor& tensor, int words, int bits) {
  const int64_t size = int64_t{words} * (32 / bits);
  if (size > limits::kVocab) {
    fail(tensor, fmt::format("is {}, which is {} numbers in a row; there may be {} at most",
                             text_of(tensor), size, +limits::kVocab));
  }
  return static_cast<int>(size);
}

std::shared_ptr<const Encoding> awq_matrix(MatrixParts& parts) {
  const StoredTensor& main = parts.need("qweight");
  const auto [columns, words] = sizes(main, kWords);
  IntegerParts from{"AWQ", {}, &parts.need("scales"), &parts.need("qzeros"), nullptr, true};
  from.matrix.rows = unpacked(main, words, 4);
  from.matrix.columns = columns;
  // Row j of eight is in this field of a word.
  constexpr std::array<uint8_t, 8> kFields = {0, 4, 1, 5, 2, 6, 3, 7};
  from.matrix.integers = {main.bytes.data(), 4, true, 1, static_cast<size_t>(words), kFields};
  return integer_matrix(parts, std::move(from));
}

std::shared_ptr<const Encoding> gptq_matrix(MatrixParts& parts) {
  const StoredTensor& main = parts.need("qweight");
  const auto [words, rows] = sizes(main, kWords);
  const Quantization& quantization = parts.quantization();
  const QuantizationScheme& scheme = quantization.schemes.front();
  IntegerParts from{"GPTQ", {}, &parts.need("scales"), &parts.need("qzeros"), parts.find("g_idx"),
                    true};
  from.matrix.rows = rows;
  from.matrix.columns = unpacked(main, words, scheme.bits);
  from.matrix.integers = {main.bytes.data(), scheme.bits, false, 1, static_cast<size_t>(rows)};
  from.matrix.zero_offset = quantization.zeros_less_one ? 1 : 0;
  const StoredTensor &zeros = *from.zeros, &scales = *from.scales;
  const bool in_order = from.groups == nullptr;
  const auto encoding = integer_matrix(parts, std::move(from));
  if (in_order && !quantization.columns_in_order && scales.shape.front() > 1) {
    fail(main, fmt::format("has no {} beside it, but quantization_config.desc_act in {} is true",
                           parts.name_of("g_idx"), quantization.file));
  }
  if (scheme.symmetric && !encoding->has_middle_zeros()) {
    fail(zeros,
         fmt::format("has zero points other than {}, but quantization_config.sym in {} is not "
                     "false",
                     1 << (scheme.bits - 1), quantization.file));
  }
  return encoding;
}

std::shared_ptr<const Encoding> packed_matrix(MatrixParts& parts) {
  const StoredTensor& main = parts.need("weight_packed");
  const auto [rows, words] = sizes(main, kWords);
  constexpr std::string_view kIntegers[] = {"I64", "I32"};
  const StoredTensor& shape = parts.need("weight_shape");
  MatrixParts::check(shape, kIntegers, {{2}});
  std::array<int64_t, 2> size{};
  for (size_t i = 0; i < size.size(); ++i) {
    if (shape.type == "I64") {
      std::memcpy(&size[i], shape.bytes.data() + i * sizeof(int64_t), sizeof(int64_t));
    } else {
      int32_t narrow = 0;
      std::memcpy(&narrow, shape.bytes.data() + i * sizeof narrow, sizeof narrow);
      size[i] = narrow;
    }
  }
  const auto has_bits = [&, words = words](int bits) {
    return size[1] > 0 && size[1] <= limits::kVocab &&
           words == ceil_div(size[1], int64_t{32 / bits});
  };
  if (size[0] != rows || (!has_bits(4) && !has_bits(8))) {
    fail(main, fmt::format("is {}, but {} has {} x {}; supported are integers of 4 and 8 bits",
                           text_of(main), printable(shape.name), size[0], size[1]));
  }
  // Of a few columns both take as many words.
  const int bits = has_bits(4) && has_bits(8) ? parts.quantization().schemes.front().bits
                   : has_bits(4)              ? 4
                                              : 8;
  IntegerParts from{"",
                    {},
                    &parts.need("weight_scale"),
                    parts.find("weight_zero_point"),
                    parts.find("weight_g_idx"),
                    false};
  from.matrix.rows = rows;
  from.matrix.columns = static_cast<int>(size[1]);
  from.matrix.integers = {main.bytes.data(), bits, false, static_cast<size_t>(words), 1};
  return integer_matrix(parts, std::move(from));
}

using MakeMatrix = std::shared_ptr<const Encoding> (*)(MatrixParts&);

// How a tensor of this name and type is read that has the numbers of a quantized matrix; null for
// others.
MakeMatrix matrix_in(const StoredTensor& tensor, Method method) {
  const auto is = [&](std::string_view part) { return tensor.name.ends_with(part); };
  switch (method) {
    case Method::kAwq:
      return is(".qweight") ? awq_matrix : nullptr;
    case Method::kGptq:
      return is(".qweight") ? gptq_matrix : nullptr;
    case Method::kCompressedTensors:
      if (is(".weight_packed")) return packed_matrix;
      [[fallthrough]];
    case Method::kFp8:
      // Others that are FP8, norms and biases, are refused as what they are.
      return is(".weight") && tensor.type == "F8_E4M3" && tensor.shape.size() != 1 ? fp8_matrix
                                                                                   : nullptr;
  }
  return nullptr;
}

// Which part of a matrix is missing where no matrix took a tensor of this name; null for tensors
// that are no part.
const char* missing_beside(const StoredTensor& tensor, Method method) {
  if (method == Method::kFp8 || (tensor.type != "I32" && tensor.type != "I64")) return nullptr;
  const bool packed = method == Method::kCompressedTensors;
  const std::initializer_list<std::string_view> of_packed = {".weight_shape", ".weight_zero_point",
                                                             ".weight_g_idx"},
                                                others = {".qzeros", ".g_idx"};
  const auto is = [&](std::string_view part) { return tensor.name.ends_with(part); };
  if (!std::ranges::any_of(packed ? of_packed : others, is)) return nullptr;
  return packed ? "weight_packed" : "qweight";
}

// Of activations, keys and values, which are not quantized here, or not so.
bool is_of_activations(std::string_view name) {
  constexpr std::string_view kParts[] = {".input_scale",       ".input_zero_point", ".output_scale",
                                         ".output_zero_point", ".k_scale",          ".v_scale"};
  return std::ranges::any_of(kParts, [&](std::string_view part) { return name.ends_with(part); });
}

}  // namespace

std::vector<Tensor> resolve_quantized(std::vector<StoredTensor> stored,
                                      const Quantization& quantization) {
  Parts parts(std::move(stored));
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < parts.size(); ++i) {
    const StoredTensor& tensor = parts[i];
    if (is_of_activations(tensor.name)) parts.take(i);
    const MakeMatrix make = matrix_in(tensor, quantization.method);
    if (make == nullptr) continue;
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    MatrixParts of_matrix(parts, tensor, module, quantization);
    std::shared_ptr<const Encoding> encoding = make(of_matrix);
    tensors.push_back({module + ".weight",
                       encoding->type(),
                       {encoding->rows(), encoding->cols()},
                       nullptr,
                       encoding->bytes(),
                       std::move(encoding)});
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const char* const missing = missing_beside(parts[i], quantization.method);
    if (missing == nullptr || parts.taken(i)) continue;
    const std::string module = parts[i].name.substr(0, parts[i].name.rfind('.'));
    fail(parts[i], fmt::format("has no {}.{} beside it", printable(module), missing));
  }
  std::ranges::move(std::move(parts).rest(), std::back_inserter(tensors));
  std::ranges::sort(tensors, {}, &Tensor::name);
  const auto twin = std::ranges::adjacent_find(tensors, {}, &Tensor::name);
  if (twin != tensors.end()) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: the tensor {} is there twice, quantized and not.",
                            quantization.file, in_quotes(twin->name)));
  }
  return tensors;
}

}  // namespace orthrus
