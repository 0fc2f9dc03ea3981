// A checkpoint's tensors to their places in the network, checked.
#include <fmt/core.h>

#include "network/check_tensors.h"
#include "network/network_weights.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

Matrix matrix_of(const Tensor& tensor) {
  return {tensor.data,
          tensor.type,
          static_cast<int>(tensor.shape[0]),
          static_cast<int>(tensor.shape[1]),
          false,
          tensor.encoding.get()};
}

// A token reads one row of a table where it lies in the file.
void check_table(const Tensor& tensor, const std::string& model_name) {
  if (!tensor.encoding) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{}: {} is {}; an embedding may be F32, F16 or BF16, or GGUF's blocks.",
                          model_name, tensor.name, tensor.encoding->name()));
}

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape[0]));
  const Format& format = format_of(tensor.type);
  format.widen(tensor.data, values.size() / static_cast<size_t>(format.block_columns),
               values.data());
  return values;
}

}  // namespace

NetworkWeights bind_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                            const std::string& model_name) {
  if (config.head_dim > kMaxHeadDim) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: head_dim is {}; the kernels take up to {}.", model_name,
                            config.head_dim, kMaxHeadDim));
  }
  check_tensors(
      expected_tensors(config), checkpoint.tensors(),
      fmt::format("{}: the tensors are not those of {} as its configuration describes it.",
                  model_name, config.architecture));
  NetworkWeights weights;
  for_each_tensor(
      config, weights,
      [&](const TensorSpec& spec, MatrixPlaces places) {
        if (spec.is_table) check_table(*checkpoint.find(spec.name), model_name);
        const Matrix matrix =
            spec.is_tied_head ? weights.embed_tokens : matrix_of(*checkpoint.find(spec.name));
        for (const View view : kBothViews) {
          if (places[view] != nullptr) *places[view] = matrix;
        }
      },
      [&](const TensorSpec& spec, std::vector<float>& values) {
        values = floats_of(*checkpoint.find(spec.name));
      });
  return weights;
}

}  // namespace orthrus
