// Forward passes on the processor: the network as operations of kernels/ops.h.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "backends/cpu/cpu_weights.h"
#include "backends/forward_pass.h"
#include "cache/kv_sequence.h"
#include "kernels/pairwise.h"
#include "network/pass_plan.h"

namespace orthrus {

// Passes over operations.
class CpuForwardPass final : public ForwardPass {
 public:
  // Both must outlive it.
  CpuForwardPass(const CpuWeights& weights, const Ops& ops) : weights_(&weights), ops_(&ops) {}

  Status run(std::span<const Span> spans) override;
  HeadRows head_rows(size_t span) const override;
  double seconds() const override { return seconds_; }
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
    Rows head_input;  // final RMSNorm of x: full head rows, then top ones
    Rows logits;      // of full head rows, [vocab_size]
  };

  // The rows of one view: all AR spans come first in the batch, then the diffusion spans, so that
  // each view's projections see one run of rows.
  struct ViewRows {
    int first = 0;
    int count = 0;
    std::vector<AttentionSpan> spans;  // first_row counts from `first`
  };

  Status plan(std::span<const Span> spans);
  void allocate();
  // Every thread of the team runs these.
  void network(std::span<const Span> spans);
  void attention(const LayerWeights& layer, size_t layer_index, View view);
  void mlp(const MlpWeights& w, int first_row, int rows);
  void head(std::span<const Span> spans);
  void sample(std::span<const Span> spans);
  void sample_row(size_t sampled, std::span<const Span> spans);
  void choose_chains(std::span<const Span> spans);
  int first_head_row(size_t span) const;  // of all head rows
  // Drafts are chosen of so many tokens, the first ones of the vocabulary.
  int draft_vocabulary() const {
    return std::min(plan_.draft_vocabulary, weights_->network.lm_head.diffusion.rows);
  }
  bool has_pairs() const { return weights_->config.pair_rank > 0; }
  PairTables pair_tables() const {
    if (!has_pairs()) return {};
    return {&weights_->network.pair_previous, &weights_->network.pair_next};
  }

  const CpuWeights* weights_;
  const Ops* ops_;

  PassPlan plan_;
  std::vector<int32_t> ids_, positions_;  // by row
  std::vector<Choice> choices_;           // by row of the LM head
  std::vector<PairRow>
      pair_rows_;  // by sampled row, of those whose candidates are asked for or chained
  PerView<ViewRows> views_;
  std::vector<SlotCopy> copies_;         // for branches of trees
  std::vector<std::byte*> block_pages_;  // keys and values of diffusion blocks, one layer at a time
  Activations a_;
  float* workspace_ = nullptr;  // of products and attention
  Buffer arena_;
  size_t arena_floats_ = 0;
  double seconds_ = 0;
};

}  // namespace orthrus
