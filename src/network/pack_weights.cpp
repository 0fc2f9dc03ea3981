// Weights into the form that products take, and what must be true of them before.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/ceil_div.h"
#include "files/display.h"
#include "kernels/matrix_rows.h"
#include "network/network_weights.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

[[noreturn]] void refuse_large(const std::string& model_name, std::string_view name, DType type) {
  throw Error(ErrorKind::kFile,
              fmt::format("{}: {} has weights above {}, the most that {} holds.", model_name, name,
                          format_of(type).largest, name_of(type)));
}

// Heads have a file of their own.
std::string file_of(std::string_view tensor, const Checkpoint& checkpoint,
                    const std::string& model_name) {
  const bool of_heads = checkpoint.heads() && tensor.find("_diff.") != std::string_view::npos;
  return of_heads ? checkpoint.heads()->name : model_name;
}

// Calls use(bytes, blocks) for slices of `blocks` blocks, until one returns false.
template <typename Use>
bool in_slices(const Format& format, const std::byte* data, size_t blocks, Use use) {
  constexpr size_t kSliceBytes = size_t{1} << 18;
  const auto block = static_cast<size_t>(format.block_bytes);
  const size_t slice = kSliceBytes / block;
  for (size_t at = 0; at < blocks; at += slice) {
    if (!use(data + at * block, std::min(slice, blocks - at))) return false;
  }
  return true;
}

// The same of an encoding's rows: use(first, rows), until one returns false.
template <typename Use>
bool in_slices(const Encoding& encoding, Use use) {
  constexpr int kSliceNumbers = 1 << 18;
  const int slice = std::max(1, kSliceNumbers / encoding.cols());
  for (int first = 0; first < encoding.rows(); first += slice) {
    if (!use(first, std::min(slice, encoding.rows() - first))) return false;
  }
  return true;
}

// Whether all of `count` weights, encoded or not, can be stored in another type.
bool fits(DType from, const void* data, const Encoding* encoding, size_t count, DType to) {
  const Format& format = format_of(from);
  const float limit = format_of(to).largest;
  if ((encoding != nullptr ? encoding->largest() : format.largest) <= limit) return true;
  const auto columns = static_cast<size_t>(format.block_columns);
  std::vector<float> values;
  const auto fit = [&](const std::byte* bytes, size_t blocks) {
    values.resize(blocks * columns);
    format.widen(bytes, blocks, values.data());
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::abs(value));
    return largest <= limit;
  };
  if (encoding == nullptr) {
    return in_slices(format, static_cast<const std::byte*>(data), count / columns, fit);
  }
  MatrixRows read({nullptr, from, encoding->rows(), encoding->cols(), false, encoding});
  const size_t row_blocks = static_cast<size_t>(encoding->cols()) / columns;
  return in_slices(*encoding, [&](int first, int rows) {
    return fit(read.read(first, rows), static_cast<size_t>(rows) * row_blocks);
  });
}

size_t size(const Matrix& m) {
  return static_cast<size_t>(m.rows) * static_cast<size_t>(m.cols);
}

// What an encoding has as float32 are numbers of a few bits times a scale: BF16 has them nearly.
DType native_type(const Matrix& matrix) {
  const bool is_encoded_float = matrix.encoding != nullptr && matrix.type == DType::kF32;
  return is_encoded_float ? DType::kBF16 : matrix.type;
}

// What becomes of each matrix.
class Plan {
 public:
  Plan(const WeightTypes& types, const Ops& ops)
      : wanted_(types.of_views(WeightType::native())), ops_(&ops) {}

  DType type_of(const MatrixPlaces& places, View view) const {
    return wanted_[view].one().value_or(native_type(*places[view]));
  }
  // Whether the AR view's copy, packed before, serves the diffusion view too.
  bool is_shared(const MatrixPlaces& places, View view) const {
    return view == View::kDiffusion && places.ar != nullptr &&
           type_of(places, View::kAutoregressive) == type_of(places, view);
  }
  size_t packed_bytes(const Matrix& matrix, DType to) const {
    return round_up(ops_->packed_bytes(to, matrix.rows, matrix.cols), size_t{64});
  }

 private:
  PerView<WeightType> wanted_;
  const Ops* ops_;
};

// Of all matrices: bytes to pack into, and weights to be done.
struct Amount {
  size_t bytes = 0, weights = 0;
};

Amount amount_of(const ModelConfig& config, NetworkWeights& weights, const Plan& plan) {
  Amount amount;
  for_each_tensor(
      config, weights,
      [&](const TensorSpec& spec, MatrixPlaces places) {
        if (spec.is_table) return;
        for (const View view : kBothViews) {
          if (places[view] == nullptr) continue;
          amount.weights += size(*places[view]);
          if (plan.is_shared(places, view)) continue;
          amount.bytes += plan.packed_bytes(*places[view], plan.type_of(places, view));
        }
      },
      [](const TensorSpec&, std::vector<float>&) {});
  return amount;
}

}  // namespace

size_t packed_bytes(const ModelConfig& config, NetworkWeights& weights, const WeightTypes& types,
                    const Ops& ops) {
  return amount_of(config, weights, Plan(types, ops)).bytes;
}

void pack_weights(const ModelConfig& config, NetworkWeights& weights, const WeightTypes& types,
                  const Ops& ops, const Checkpoint& checkpoint, const std::string& model_name,
                  std::vector<Buffer>& storage,
                  const std::function<void(size_t, size_t)>& progress) {
  const Plan plan(types, ops);
  const Amount amount = amount_of(config, weights, plan);
  size_t done = 0;
  // All in one piece, which can lie in huge pages.
  auto* next = reinterpret_cast<std::byte*>(
      storage.emplace_back(ops.allocate((amount.bytes + sizeof(float) - 1) / sizeof(float))).get());
  for_each_tensor(
      config, weights,
      [&](const TensorSpec& spec, MatrixPlaces places) {
        if (spec.is_table) return;
        for (const View view : kBothViews) {
          if (places[view] == nullptr) continue;
          Matrix& matrix = *places[view];
          const DType to = plan.type_of(places, view);
          done += size(matrix);
          if (plan.is_shared(places, view)) {
            matrix = *places.ar;
          } else {
            if (!fits(matrix.type, matrix.data, matrix.encoding, size(matrix), to)) {
              refuse_large(file_of(spec.name, checkpoint, model_name), spec.name, to);
            }
            std::byte* const place = next;
            next += plan.packed_bytes(matrix, to);
            matrix = ops.pack(matrix, to, place);
          }
          if (progress) progress(done, amount.weights);
        }
      },
      [](const TensorSpec&, std::vector<float>&) {});
}

void check_fits(const Checkpoint& checkpoint, DType type, const std::string& model_name) {
  for (const Tensor& tensor : checkpoint.tensors()) {
    const Format& format = format_of(tensor.type);
    const size_t count = tensor.bytes / static_cast<size_t>(format.block_bytes) *
                         static_cast<size_t>(format.block_columns);
    if (!fits(tensor.type, tensor.data, tensor.encoding.get(), count, type)) {
      refuse_large(file_of(tensor.name, checkpoint, model_name), printable(tensor.name), type);
    }
  }
}

void check_finite(const Checkpoint& checkpoint, const std::string& model_name,
                  const std::function<void(size_t, size_t)>& progress) {
  size_t total = 0, done = 0;
  for (const Tensor& tensor : checkpoint.tensors()) total += tensor.bytes;
  for (const Tensor& tensor : checkpoint.tensors()) {
    const Format& format = format_of(tensor.type);
    const auto block = static_cast<size_t>(format.block_bytes);
    bool finite = true;
    if (tensor.encoding) {
      finite = in_slices(*tensor.encoding,
                         [&](int first, int rows) { return tensor.encoding->finite(first, rows); });
      done += tensor.bytes;
      if (progress) progress(done, total);
    } else {
      finite = in_slices(format, tensor.data, tensor.bytes / block,
                         [&](const std::byte* bytes, size_t blocks) {
                           done += blocks * block;
                           if (!format.finite(bytes, blocks)) return false;
                           if (progress) progress(done, total);
                           return true;
                         });
    }
    if (!finite) {
      throw Error(
          ErrorKind::kFile,
          fmt::format("{}: tensor {} holds NaN or infinity; weights must be finite.",
                      file_of(tensor.name, checkpoint, model_name), printable(tensor.name)));
    }
  }
}

}  // namespace orthrus
