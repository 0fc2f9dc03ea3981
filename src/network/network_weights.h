// What a network is made of: its tensors, in one list that names, checks, binds, packs, uploads,
// counts and makes them up.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/view.h"
#include "checkpoint/checkpoint.h"
#include "kernels/formats/format.h"
#include "kernels/ops.h"
#include "orthrus/config.h"
#include "orthrus/weight_type.h"

namespace orthrus {

// Matrices lie in the mapped checkpoint until they are packed; vectors, being few, are widened to
// float32. An architecture is which of them are there: those that it has not are empty.
struct AttentionWeights {
  Matrix q_proj;                              // [num_attention_heads * head_dim][hidden_size]
  Matrix k_proj;                              // [num_key_value_heads * head_dim][hidden_size]
  Matrix v_proj;                              // [num_key_value_heads * head_dim][hidden_size]
  Matrix o_proj;                              // [hidden_size][num_attention_heads * head_dim]
  std::vector<float> q_bias, k_bias, v_bias;  // of the projections' rows, or empty
  std::vector<float> q_norm, k_norm;          // [head_dim], or empty
};

struct MlpWeights {
  Matrix gate_proj;  // [intermediate_size][hidden_size]
  Matrix up_proj;    // [intermediate_size][hidden_size]
  Matrix down_proj;  // [hidden_size][intermediate_size]
};

// Each view has attention weights of its own; the diffusion view's may be missing. All else both
// share: by view it is the same matrix twice, or one matrix in two types.
struct LayerWeights {
  std::vector<float> input_layernorm;  // [hidden_size]
  PerView<AttentionWeights> attention;
  std::vector<float> post_attention_layernorm;  // [hidden_size]
  PerView<MlpWeights> mlp;
};

struct NetworkWeights {
  Matrix embed_tokens;  // [vocab_size][hidden_size]
  // The diffusion view's pairwise term, if it has one: previous[u] . next[v] is added to the logit
  // of v in a block's row at whose own position u stands (kernels/pairwise.h).
  Matrix pair_previous, pair_next;  // [vocab_size][pair_rank]
  std::vector<LayerWeights> layers;
  std::vector<float> norm;  // [hidden_size]
  PerView<Matrix> lm_head;  // [vocab_size][hidden_size]; tied: embed_tokens
};

// The views that a network of this configuration has.
std::span<const View> views(const ModelConfig& config);

inline constexpr std::string_view kPairwisePart = "pairwise (diffusion view)";

// A tensor of a network, whichever checkpoint it may come from.
struct TensorSpec {
  std::string name;  // Hugging Face's
  std::vector<int64_t> shape;
  std::string_view part;  // "embedding", "attention (AR view)", "attention (diffusion view)", ...
  std::optional<View> view;  // that alone uses it; none when both do
  // A table, of which a token reads one row: the embedding, and those of the pairwise term. It is
  // not multiplied with, so not packed.
  bool is_table = false;
  bool is_tied_head = false;  // no tensor of its own: the embedding, used as the LM head
};

// Where a matrix goes: for both views, or for one (null: not for that view).
using MatrixPlaces = PerView<Matrix*>;

// THE list: calls on_matrix(spec, places) and on_vector(spec, floats) for all tensors of a network,
// in its order. weights.layers gets as many layers as the configuration says.
void for_each_tensor(const ModelConfig& config, NetworkWeights& weights,
                     const std::function<void(const TensorSpec&, MatrixPlaces)>& on_matrix,
                     const std::function<void(const TensorSpec&, std::vector<float>&)>& on_vector);

// The same without places: the tensors a checkpoint of this configuration must have.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config);

// The matrices that a pass in this view multiplies with, the LM head, tied or not, included.
std::vector<TensorSpec> multiplied_matrices(const ModelConfig& config, View view);

// Binds a checkpoint's tensors to their places. Throws Error(kFile) that lists every missing,
// unexpected and misshapen tensor. `model_name` is for messages, here and below. The result points
// into `checkpoint`.
NetworkWeights bind_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                            const std::string& model_name);

// What options say that matrices are used as.
struct WeightTypes {
  std::optional<WeightType> type = {};
  std::optional<WeightType> draft = {};  // all that the diffusion view uses

  // Where they say nothing about the type it is `usual`, and about drafts the AR view's.
  PerView<WeightType> of_views(WeightType usual) const {
    const WeightType of_ar = type.value_or(usual);
    return {of_ar, draft.value_or(of_ar)};
  }
};

// Bytes that pack_weights packs bound weights into. By default they are native, where an encoded
// matrix that is F32 becomes BF16.
size_t packed_bytes(const ModelConfig& config, NetworkWeights& weights, const WeightTypes& types,
                    const Ops& ops);

// Packs the matrices of the layers and the LM head in memory that `storage` gets. Tables stay as
// they are; a tied head becomes a copy of the embedding. Throws
// Error(kFile) naming a matrix of `checkpoint` that its type cannot hold, and std::bad_alloc.
// `progress(done, total)` is told of weights packed.
void pack_weights(const ModelConfig& config, NetworkWeights& weights, const WeightTypes& types,
                  const Ops& ops, const Checkpoint& checkpoint, const std::string& model_name,
                  std::vector<Buffer>& storage,
                  const std::function<void(size_t, size_t)>& progress);

// Throws Error(kFile) naming the first tensor with a weight too large for `type`.
void check_fits(const Checkpoint& checkpoint, DType type, const std::string& model_name);

// Reads every weight once, which also brings the file into memory, and throws Error(kFile) naming
// the first tensor with a NaN or an infinity. `progress(done, total)` is told of bytes read.
void check_finite(const Checkpoint& checkpoint, const std::string& model_name,
                  const std::function<void(size_t, size_t)>& progress);

}  // namespace orthrus
