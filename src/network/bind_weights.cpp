// A checkpoint's tensors to their places in the network, checked.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "files/display.h"
#include "network/network_weights.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

Matrix matrix_of(const Tensor& tensor) {
  return {tensor.data, tensor.type, static_cast<int>(tensor.shape[0]),
          static_cast<int>(tensor.shape[1])};
}

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape[0]));
  const Format& format = format_of(tensor.type);
  format.widen(tensor.data, values.size() / static_cast<size_t>(format.block_columns),
               values.data());
  return values;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

// At most this many lines of each kind of trouble; a wrong file can have thousands.
constexpr size_t kMaxListed = 20;
constexpr size_t kShownName = 100;  // bytes of a name that a file made up

void list(std::string& message, std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  message += fmt::format("\n{} ({}):", title, lines.size());
  for (size_t i = 0; i < std::min(lines.size(), kMaxListed); ++i) message += "\n  " + lines[i];
  if (lines.size() > kMaxListed)
    message += fmt::format("\n  ... and {} more", lines.size() - kMaxListed);
}

void check_tensors(const ModelConfig& config, const Checkpoint& checkpoint,
                   const std::string& directory) {
  std::vector<std::string> missing, misshapen, unexpected;
  std::set<std::string_view> known;
  const std::vector<TensorSpec> specs = expected_tensors(config);
  for (const TensorSpec& spec : specs) {
    known.insert(spec.name);
    const Tensor* tensor = checkpoint.find(spec.name);
    if (tensor == nullptr) {
      missing.push_back(spec.name + " " + text_of(spec.shape));
    } else if (tensor->shape != spec.shape) {
      misshapen.push_back(fmt::format("{} has shape {}, config.json asks for {}", spec.name,
                                      text_of(tensor->shape), text_of(spec.shape)));
    }
  }
  for (const Tensor& tensor : checkpoint.tensors()) {
    // A tied head may be stored all the same; transformers ignores it too.
    if (config.tie_word_embeddings && tensor.name == "lm_head.weight") continue;
    if (!known.contains(tensor.name)) {
      unexpected.push_back(printable(tensor.name, kShownName) + " " + text_of(tensor.shape));
    }
  }
  if (missing.empty() && misshapen.empty() && unexpected.empty()) return;
  std::string message =
      fmt::format("{}: the tensors are not those of {} as config.json describes it.", directory,
                  config.architecture);
  list(message, "missing", missing);
  list(message, "misshapen", misshapen);
  list(message, "unexpected", unexpected);
  throw Error(ErrorKind::kFile, message);
}

}  // namespace

NetworkWeights bind_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                            const std::string& directory) {
  if (config.head_dim > kMaxHeadDim) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: head_dim is {}; the kernels take up to {}.", directory,
                            config.head_dim, kMaxHeadDim));
  }
  check_tensors(config, checkpoint, directory);
  NetworkWeights weights;
  for_each_tensor(
      config, weights,
      [&](const TensorSpec& spec, MatrixPlaces places) {
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
