// A checkpoint's tensors, bound to their places in the network.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "kernels/formats/format.h"
#include "kernels/ops.h"
#include "model/view.h"
#include "orthrus/config.h"

namespace orthrus {

// Matrices lie in the mapped checkpoint until they are packed; norm weights, being few, are widened
// to float32.
struct AttentionWeights {
  Matrix q_proj;              // [num_attention_heads * head_dim][hidden_size]
  Matrix k_proj;              // [num_key_value_heads * head_dim][hidden_size]
  Matrix v_proj;              // [num_key_value_heads * head_dim][hidden_size]
  Matrix o_proj;              // [hidden_size][num_attention_heads * head_dim]
  std::vector<float> q_norm;  // [head_dim]
  std::vector<float> k_norm;  // [head_dim]
};

struct MlpWeights {
  Matrix gate_proj;  // [intermediate_size][hidden_size]
  Matrix up_proj;    // [intermediate_size][hidden_size]
  Matrix down_proj;  // [hidden_size][intermediate_size]
};

// Each view has attention weights of its own; the diffusion view's may be missing. All else both
// share: by View it is the same matrix twice, or one matrix in two types.
struct LayerWeights {
  std::vector<float> input_layernorm;              // [hidden_size]
  std::array<AttentionWeights, kViews> attention;  // by View
  std::vector<float> post_attention_layernorm;     // [hidden_size]
  std::array<MlpWeights, kViews> mlp;              // by View
};

struct Weights {
  Matrix embed_tokens;  // [vocab_size][hidden_size]
  std::vector<LayerWeights> layers;
  std::vector<float> norm;             // [hidden_size]
  std::array<Matrix, kViews> lm_head;  // by View, [vocab_size][hidden_size]; tied: embed_tokens
};

// A tensor the network has, whichever checkpoint it may come from.
struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
  std::string_view part;  // "embedding", "attention (AR view)", "attention (diffusion view)", ...
  std::optional<View> view;  // that alone uses it; none when both do
};

// All tensors a checkpoint of this configuration must have, in the order of the network.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config);

// Binds them. Throws Error(kFile) that lists every missing, unexpected and misshapen tensor.
// The result points into `checkpoint`.
Weights bind_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                     const std::string& directory);

// The types that matrices are packed as; by default each as what it is, and for drafts as for the
// AR view.
struct WeightTypes {
  std::optional<DType> type = {};
  std::optional<DType> draft = {};  // all that the diffusion view uses
};

// Packs the matrices of the layers and the LM head in memory that `storage` gets. The embedding, of
// which a token reads one row, stays as it is; a tied head becomes a copy of it. Throws
// Error(kFile) naming a matrix that its type cannot hold, and std::bad_alloc.
// `progress(done, total)` is told of weights packed.
void pack_weights(Weights& weights, const WeightTypes& types, const Ops& ops,
                  const std::string& directory, std::vector<Buffer>& storage,
                  const std::function<void(size_t, size_t)>& progress);

// Throws Error(kFile) naming the first tensor with a weight too large for `type`.
void check_fits(const Checkpoint& checkpoint, DType type, const std::string& directory);

// Reads every weight once, which also brings the file into memory, and throws Error(kFile) naming
// the first tensor with a NaN or an infinity. `progress(done, total)` is told of bytes read.
void check_finite(const Checkpoint& checkpoint, const std::string& directory,
                  const std::function<void(size_t, size_t)>& progress);

}  // namespace orthrus
