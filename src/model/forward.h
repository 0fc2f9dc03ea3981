// One forward pass of the network over a ragged batch of spans, in either view.
#pragma once

#include <span>
#include <vector>

#include "cache/kv_cache.h"
#include "model/weights.h"

namespace orthrus {

// What every pass of a model shares: immutable after load, used from any thread.
struct Model {
  // Binds the checkpoint's weights, reads them all to see that they are finite, and packs them.
  // Throws as bind_weights, check_finite and pack_weights do; the last two tell `progress` what is
  // done of what is to do.
  Model(ModelConfig model_config, Checkpoint model_checkpoint, const std::string& directory,
        const Ops& ops, const WeightTypes& types = {},
        const std::function<void(size_t done, size_t total)>& progress = {});

  // Of this shape, with weights that are made up.
  static Model random(const ModelConfig& config, const std::array<DType, kViews>& types,
                      const Ops& ops);
  // The memory that takes, in bytes.
  static double random_bytes(const ModelConfig& config, const std::array<DType, kViews>& types,
                             const Ops& ops);

  ModelConfig config;
  std::optional<Checkpoint> checkpoint;  // where the embedding lies; none of a random model
  Weights weights;
  std::vector<Buffer> packed;   // the matrices' memory
  DType kv_type = DType::kF32;  // of the cache: F32 or BF16
  std::vector<float> inv_freq;  // rope_theta^(-2i / head_dim), [head_dim / 2]

  KvLayout kv_layout() const {
    return {config.num_hidden_layers, config.num_key_value_heads, config.head_dim, kv_type};
  }

 private:
  explicit Model(ModelConfig model_config);
};

// What a span wants of the LM head.
enum class HeadOutput : uint8_t {
  kLogits,             // all logits
  kTop,                // the largest logit, which is all that greedy selection looks at
  kTopAndProbability,  // and its softmax
};

// Consecutive tokens of one sequence, at positions sequence->length() and on.
//
// In the AR view they are causal, and the pass appends their keys and values to the sequence. In
// the diffusion view they are a block: each sees the sequence's cache and the whole block, and
// nothing is kept. A pass holds at most one span of a sequence.
struct Span {
  KvSequence* sequence = nullptr;
  std::span<const int32_t> tokens;
  View view = View::kAutoregressive;
  int logits_begin = 0;  // the LM head runs for the rows [logits_begin, logits_end) of the span
  int logits_end = 0;
  HeadOutput output = HeadOutput::kLogits;
};

// What the LM head gave of the rows that a span asked for, in the form that it asked for.
struct HeadRows {
  ConstRows logits;           // [logits_end - logits_begin][vocab_size], or none
  std::span<const Top> tops;  // [logits_end - logits_begin], or none

  int rows() const { return logits.rows + static_cast<int>(tops.size()); }
};

// Runs passes. Owns their activations, so one ForwardPass serves one thread of control at a time.
class ForwardPass {
 public:
  // Both must outlive it.
  ForwardPass(const Model& model, const Ops& ops) : model_(&model), ops_(&ops) {}

  // On kOk every AR span's sequence is longer by its tokens; otherwise no sequence has changed.
  Status run(std::span<const Span> spans);

  // After run, what spans[i] asked for. Valid until the next run.
  HeadRows head_rows(size_t span) const;
  ConstRows logits(size_t span) const { return head_rows(span).logits; }

 private:
  // Activations of a pass, one row a token. Views into arena_.
  struct Activations {
    Rows x;           // the residual stream, [hidden_size]
    Rows normed;      // RMSNorm of x, [hidden_size]
    Rows q;           // [num_attention_heads * head_dim]
    Rows k, v;        // [num_key_value_heads * head_dim]
    Rows attended;    // [num_attention_heads * head_dim]
    Rows gated;       // silu(gate) * up, [intermediate_size]
    Rows cos, sin;    // [head_dim / 2]
    Rows head_input;  // final RMSNorm of x: rows that want logits, then rows that want tops
    Rows logits;      // [vocab_size]
  };

  // The rows of one view: all AR spans come first in the batch, then the diffusion spans, so that
  // each view's projections see one run of rows.
  struct ViewRows {
    int first = 0;
    int count = 0;
    std::vector<AttentionSpan> spans;  // first_row counts from `first`
  };

  Status plan(std::span<const Span> spans);
  void plan_head(std::span<const Span> spans);
  void allocate(int rows, int block_pages);
  // Every thread of the team runs these.
  void network(std::span<const Span> spans);
  void attention(const LayerWeights& layer, size_t layer_index, View view);
  void mlp(const MlpWeights& w, int first_row, int rows);
  void head(std::span<const Span> spans);

  const Model* model_;
  const Ops* ops_;

  std::vector<int32_t> ids_, positions_;  // by row
  std::vector<int> first_row_;            // by span: its first row
  std::vector<int> first_head_row_;       // by span: its first row of those the LM head runs for
  std::vector<int> head_count_;           // by span: how many of them
  std::vector<bool> wants_logits_;        // by span
  // Rows of the LM head: those that want logits come first, then those that want tops; of each
  // kind, AR rows come first.
  int logits_rows_ = 0, top_rows_ = 0;
  int ar_logits_rows_ = 0, ar_top_rows_ = 0;
  bool probability_ = false;  // any of them with its probability
  std::vector<Top> tops_;     // [top_rows_]
  ViewRows views_[kViews];
  std::vector<std::byte*> block_pages_;  // keys and values of diffusion blocks, one layer at a time
  Activations a_;
  float* workspace_ = nullptr;  // of the products
  Buffer arena_;
  size_t arena_floats_ = 0;
};

}  // namespace orthrus
