#include "backends/cuda/pass_kernels.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/branches.h"
#include "network/rope.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

}  // namespace

struct PassKernels::Activations {
  Activations(const ModelConfig& c, const Heads& heads, const MatrixView& lm_head,
              size_t block_stride, const PassSizes& room, int block_pages)
      : of(room), block_pages(block_pages) {
    const auto rows = static_cast<size_t>(room.all_rows());
    const auto head_rows = static_cast<size_t>(room.head_rows());
    const auto q_cols = static_cast<size_t>(heads.heads * heads.head_dim);
    const auto qkv_cols = q_cols + static_cast<size_t>(2 * heads.kv_heads * heads.head_dim);
    x = DeviceArray<float>(rows * c.hidden_size);
    normed = DeviceArray<Bf16>(rows * c.hidden_size);
    qkv = DeviceArray<float>(rows * qkv_cols);
    q = DeviceArray<Bf16>(rows * q_cols);
    attended = DeviceArray<Bf16>(rows * q_cols);
    gated = DeviceArray<Bf16>(rows * c.intermediate_size);
    rope = DeviceArray<float2>(rows * heads.head_dim / 2);
    block = DeviceArray<Bf16>(static_cast<size_t>(block_pages) * block_stride);
    head_input = DeviceArray<Bf16>(head_rows * c.hidden_size);
    logits = DeviceArray<float>(static_cast<size_t>(room.logits) * c.vocab_size);
    sampled = DeviceArray<Choice>(static_cast<size_t>(room.logits));
    candidates = DeviceArray<DraftCandidates>(static_cast<size_t>(room.logits));
    terms = DeviceArray<CandidateTerms>(c.pair_rank > 0 ? static_cast<size_t>(room.logits) : 0);
    tops = DeviceArray<Choice>(static_cast<size_t>(room.tops));
    top_workspace = DeviceArray<std::byte>(top_workspace_bytes(room.tops, lm_head));
    const int most = std::max(room.rows.ar, room.rows.diffusion);
    const size_t bytes = attention_workspace_bytes(heads, most, room.positions);
    attention_workspace = DeviceArray<std::byte>(bytes);
  }

  PassSizes of;  // there is room for
  int block_pages;
  DeviceArray<float> x;      // the residual stream, [rows][hidden_size]
  DeviceArray<Bf16> normed;  // RMSNorm of x, where products don't make it
  DeviceArray<float> qkv;
  DeviceArray<Bf16> q, attended;  // [rows][heads * head_dim]
  DeviceArray<Bf16> gated;        // silu(gate) * up, [rows][intermediate_size]
  DeviceArray<float2> rope;       // cos and sin, [rows][head_dim / 2]
  DeviceArray<Bf16> block;        // keys and values of blocks, of one layer at a time
  DeviceArray<Bf16> head_input;   // final RMSNorm of x, by row of the LM head
  DeviceArray<float> logits;      // [logits][vocab_size]
  DeviceArray<Choice> sampled, tops;
  DeviceArray<DraftCandidates> candidates;  // of rows of drafts
  DeviceArray<CandidateTerms> terms;
  DeviceArray<std::byte> top_workspace, attention_workspace;
};

PassKernels::PassKernels(const ModelConfig& config, const DeviceWeights& weights,
                         const KvMemory& memory)
    : config_(&config),
      weights_(&weights),
      memory_(&memory),
      heads_{config.num_attention_heads, config.num_key_value_heads, config.head_dim} {
  const std::vector<float> inv_freq = rope_inv_freq(config);
  inv_freq_ = DeviceArray<float>(inv_freq.data(), inv_freq.size());
  // Uploads go through another stream than passes. Waiting for the whole device would be an error
  // while another thread captures a graph, and spoil its graph.
  check(cudaStreamSynchronize(cudaStreamLegacy), "uploading");
}

PassKernels::~PassKernels() = default;

void PassKernels::reserve(const PassSizes& shape, int block_pages) {
  PassSizes room = shape;
  if (a_ != nullptr) {
    for (const View view : kBothViews) {
      room.rows[view] = std::max(room.rows[view], a_->of.rows[view]);
    }
    room.logits = std::max(room.logits, a_->of.logits);
    room.tops = std::max(room.tops, a_->of.tops);
    room.positions = std::max(room.positions, a_->of.positions);
    room.sampled = a_->of.sampled;  // this and the next five take no room
    room.chained = a_->of.chained;
    room.offered = a_->of.offered;
    room.adjusted = a_->of.adjusted;
    room.branched = a_->of.branched;
    room.alone = a_->of.alone;
    if (room == a_->of && block_pages <= a_->block_pages) return;
    block_pages = std::max(block_pages, a_->block_pages);
  } else {  // for most of those that are launched as graphs
    for (const View view : kBothViews) room.rows[view] = std::max(room.rows[view], kMostGraphRows);
    room.tops = std::max(room.tops, kMostGraphRows);
    const int logits = config_->pair_rank > 0 ? kMostGraphRows : kMostGraphRows / 2;
    room.logits = std::max(room.logits, logits);
    block_pages = std::max(block_pages, kMostGraphRows / 2);
  }
  require(cudaStreamSynchronize(stream_));
  ++generation_;
  a_.reset();
  a_ = std::make_unique<Activations>(*config_, heads_, weights_->lm_head.ar, memory_->stride(),
                                     room, block_pages);
}

PassChoices PassKernels::choices() const {
  return {a_->sampled.data(), a_->tops.data()};
}

const float* PassKernels::logits() const {
  return a_->logits.data();
}

const DraftCandidates* PassKernels::candidates() const {
  return a_->candidates.data();
}

const CandidateTerms* PassKernels::terms() const {
  return a_->terms.data();
}

void PassKernels::enqueue(const PassSizes& shape, const PassInputs& in,
                          const RowContexts& contexts) {
  const DeviceWeights& w = *weights_;
  const int rows = shape.all_rows(), hidden = config_->hidden_size;
  const int* const count = &in.counts->all_rows;
  const auto tokens = [&](const DeviceArray<Bf16>& x, int cols) {
    return Tokens{x.data(), static_cast<size_t>(cols), rows, count};
  };
  const auto normed = [&](const DeviceArray<Bf16>& weight) {
    Tokens made;
    require(normed_tokens(a_->x.data(), nullptr, weight.data(), config_->rms_norm_eps, hidden,
                          a_->normed.data(), rows, count, &made, stream_));
    return made;
  };
  if (shape.branched) {
    require(copy_known(batch_of(shape, in, View::kAutoregressive, 0), heads_,
                       config_->num_hidden_layers, memory_->layer_stride(), shape.rows.ar,
                       stream_));
  }
  require(embed(w.embed_tokens.data.data(), in.ids, hidden, a_->x.data(), rows, count, stream_));
  for (const View view : kBothViews) {
    if (shape.rows[view] == 0) continue;
    require(rope_table(batch_of(shape, in, view, 0), inv_freq_.data(), heads_.head_dim,
                       rope_of(shape, view), shape.rows[view], stream_));
  }
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const DeviceLayer& layer = w.layers[i];
    const Tokens normed_rows = normed(layer.input_layernorm);
    for (const View view : kBothViews) attend(shape, in, normed_rows, view, i);
    const DeviceMlp& mlp = layer.mlp[shape.shared_view()];
    require(matmul_swiglu(normed(layer.post_attention_layernorm), mlp.gate_up, a_->gated.data(),
                          static_cast<size_t>(config_->intermediate_size), stream_));
    require(matmul_add(tokens(a_->gated, config_->intermediate_size), mlp.down, a_->x.data(),
                       static_cast<size_t>(hidden), stream_));
  }
  head(shape, in, contexts);
}

KvBatch PassKernels::batch_of(const PassSizes& shape, const PassInputs& in, View view,
                              size_t layer) const {
  const bool branched = shape.branched && view == View::kAutoregressive;
  return {.spans = in.spans[view],
          .span_count = &in.counts->spans[view],
          .page_table = in.page_table,
          .cache = memory_->of_layer(layer),
          .block = {a_->block.data(), memory_->stride()},
          .copies = branched ? in.copies : nullptr};
}

// A view's rows of the table of rotations.
float2* PassKernels::rope_of(const PassSizes& shape, View view) const {
  return a_->rope.data() +
         static_cast<size_t>(shape.first_row(view)) * static_cast<size_t>(heads_.head_dim / 2);
}

// One view's rows of a layer's attention, from what both views' rows are after the norm before it
// to the residual stream.
void PassKernels::attend(const PassSizes& shape, const PassInputs& in, const Tokens& all, View view,
                         size_t index) {
  const int rows = shape.rows[view];
  if (rows == 0) return;
  const auto first = static_cast<size_t>(shape.first_row(view));
  const auto hidden = static_cast<size_t>(config_->hidden_size);
  const auto q_cols = static_cast<size_t>(heads_.heads * heads_.head_dim);
  const DeviceAttention& w = weights_->layers[index].attention[view];
  const int* const count = &in.counts->rows[view];
  const KvBatch batch = batch_of(shape, in, view, index);
  const HeadWeights finish{w.qkv_bias.data(), w.q_norm.data(), w.k_norm.data(),
                           rope_of(shape, view), config_->rms_norm_eps};
  Bf16* const q = a_->q.data() + first * q_cols;
  Bf16* const attended = a_->attended.data() + first * q_cols;
  const size_t qkv_cols = q_cols + static_cast<size_t>(2 * heads_.kv_heads * heads_.head_dim);
  const Tokens own = {all.data + first * hidden, hidden, rows, count, all.norm};
  require(
      matmul_qkv(own, w.qkv, heads_, finish, batch, q, a_->qkv.data() + first * qkv_cols, stream_));
  require(attention(q, heads_, batch, attended, a_->attention_workspace.data(), rows,
                    shape.positions, shape.alone, stream_));
  require(matmul_add({attended, q_cols, rows, count}, w.o, a_->x.data() + first * hidden, hidden,
                     stream_));
}

// Of the rows of logits, those of drafts: they are chosen in chains, or what may be chosen is
// found.
void PassKernels::choose_drafts(const PassSizes& shape, const PassInputs& in) {
  const int vocabulary = weights_->lm_head.ar.rows;
  const auto stride = static_cast<size_t>(vocabulary);
  const PairTables tables = weights_->pair_tables();
  const int* const count = &in.counts->logits;
  require(find_candidates(a_->logits.data(), stride, vocabulary, in.select, tables,
                          a_->candidates.data(), shape.logits, count, stream_));
  if (shape.chained) {
    require(choose_in_chains(a_->logits.data(), stride, in.select, a_->candidates.data(), in.ids,
                             tables, a_->sampled.data(), shape.logits, count, stream_));
  }
  if (shape.offered && tables.rank > 0) {
    require(find_terms(in.select, a_->candidates.data(), in.ids, tables, a_->terms.data(),
                       shape.logits, count, stream_));
  }
}

void PassKernels::head(const PassSizes& shape, const PassInputs& in, const RowContexts& contexts) {
  const auto hidden = static_cast<size_t>(config_->hidden_size);
  const MatrixView lm_head = weights_->lm_head[shape.shared_view()];
  const auto norm = [&](int first, int bucket, const int* count) {
    Bf16* const to = a_->head_input.data() + static_cast<size_t>(first) * hidden;
    Tokens made;
    require(normed_tokens(a_->x.data(), in.head_rows + first, weights_->norm.data(),
                          config_->rms_norm_eps, config_->hidden_size, to, bucket, count, &made,
                          stream_));
    return made;
  };
  if (shape.logits > 0) {
    const auto vocabulary = static_cast<size_t>(lm_head.rows);
    const Tokens x = norm(0, shape.logits, &in.counts->logits);
    require(matmul(x, lm_head, a_->logits.data(), vocabulary, stream_));
    if (shape.adjusted) {
      require(adjust(a_->logits.data(), vocabulary, lm_head.rows, in.select, contexts, in.ids,
                     shape.branched ? in.parents : nullptr, shape.logits, &in.counts->logits,
                     stream_));
    }
    if (shape.sampled) {
      require(select(a_->logits.data(), vocabulary, lm_head.rows, in.select, a_->sampled.data(),
                     shape.logits, &in.counts->logits, stream_));
    }
    if (shape.chained || shape.offered) choose_drafts(shape, in);
  }
  if (shape.tops > 0) {
    const Tokens x = norm(shape.logits, shape.tops, &in.counts->tops);
    require(matmul_top(x, lm_head, a_->tops.data(), a_->top_workspace.data(), stream_));
  }
}

}  // namespace orthrus::cuda
