#include "model/forward.h"

#include <algorithm>
#include <cmath>
#include <new>

namespace orthrus {

Model::Model(ModelConfig model_config, Checkpoint model_checkpoint, const std::string& directory)
    : config(std::move(model_config)),
      checkpoint(std::move(model_checkpoint)),
      weights(bind_weights(config, checkpoint, directory)),
      inv_freq(static_cast<size_t>(config.head_dim / 2)) {
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / config.head_dim;
    inv_freq[i] = static_cast<float>(1.0 / std::pow(config.rope_theta, exponent));
  }
}

Status ForwardPass::run(std::span<const Span> spans) {
  if (const Status status = plan(spans); status != Status::kOk) return status;
  const Weights& w = model_->weights;
  const float eps = model_->config.rms_norm_eps;

  ops_->embed(w.embed_tokens, ids_, a_.x);
  ops_->rope_table(positions_, model_->inv_freq, a_.cos, a_.sin);
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const LayerWeights& layer = w.layers[i];
    ops_->rms_norm(a_.x, layer.input_layernorm, eps, a_.normed);
    attention(layer, i, View::kAutoregressive);
    attention(layer, i, View::kDiffusion);
    ops_->add(a_.x, a_.delta);

    ops_->rms_norm(a_.x, layer.post_attention_layernorm, eps, a_.normed);
    mlp(layer);
    ops_->add(a_.x, a_.delta);
  }

  for (size_t s = 0; s < spans.size(); ++s) {
    const int count = spans[s].logits_end - spans[s].logits_begin;
    ops_->rms_norm(a_.x.slice(first_row_[s] + spans[s].logits_begin, count), w.norm, eps,
                   a_.head_input.slice(first_logits_row_[s], count));
    if (spans[s].view == View::kAutoregressive) {
      spans[s].sequence->extend(static_cast<int>(spans[s].tokens.size()));
    }
  }
  if (a_.logits.rows > 0) ops_->matmul(a_.head_input, w.lm_head, a_.logits);
  return Status::kOk;
}

// The same code serves both views. They differ in the weights, in where keys are written, and in
// what is visible, and the last two are the spans' to say.
void ForwardPass::attention(const LayerWeights& layer, size_t layer_index, View view) {
  ViewRows& rows = views_[static_cast<int>(view)];
  if (rows.count == 0) return;
  const AttentionWeights& w = layer.attention[static_cast<int>(view)];
  const float eps = model_->config.rms_norm_eps;
  const KvLayout layout = model_->kv_layout();
  const auto of_view = [&](const Rows& all) { return all.slice(rows.first, rows.count); };
  for (AttentionSpan& span : rows.spans) span.cache.offset = layer_index * layout.layer_floats();

  ops_->matmul(of_view(a_.normed), w.q_proj, of_view(a_.q));
  ops_->matmul(of_view(a_.normed), w.k_proj, of_view(a_.k));
  ops_->matmul(of_view(a_.normed), w.v_proj, of_view(a_.v));
  const Rope rope{of_view(a_.cos), of_view(a_.sin)};
  ops_->head_norm_rope(of_view(a_.q), w.q_norm, eps, rope);
  ops_->head_norm_rope(of_view(a_.k), w.k_norm, eps, rope);
  ops_->write_kv(of_view(a_.k), of_view(a_.v), rows.spans, layout);
  ops_->attention(of_view(a_.q), rows.spans, layout, of_view(a_.attended));
  ops_->matmul(of_view(a_.attended), w.o_proj, of_view(a_.delta));
}

void ForwardPass::mlp(const LayerWeights& layer) {
  ops_->matmul(a_.normed, layer.gate_proj, a_.gate);
  ops_->matmul(a_.normed, layer.up_proj, a_.up);
  ops_->swiglu(a_.gate, a_.up);
  ops_->matmul(a_.gate, layer.down_proj, a_.delta);
}

Rows ForwardPass::logits(size_t span) const {
  const int end =
      span + 1 < first_logits_row_.size() ? first_logits_row_[span + 1] : a_.logits.rows;
  return a_.logits.slice(first_logits_row_[span], end - first_logits_row_[span]);
}

// Gives every span its rows, its pages, and every row its token and position.
Status ForwardPass::plan(std::span<const Span> spans) {
  const auto pages_of = [](const Span& span) {
    return (static_cast<int>(span.tokens.size()) + kPageSize - 1) / kPageSize;
  };
  try {
    ids_.clear();
    positions_.clear();
    first_row_.assign(spans.size(), 0);
    first_logits_row_.clear();
    int logits_rows = 0;
    for (const Span& span : spans) {
      first_logits_row_.push_back(logits_rows);
      logits_rows += span.logits_end - span.logits_begin;
    }
    int block_pages = 0;
    for (const View view : {View::kAutoregressive, View::kDiffusion}) {
      ViewRows& rows = views_[static_cast<int>(view)];
      rows.first = static_cast<int>(ids_.size());
      rows.spans.clear();
      for (size_t s = 0; s < spans.size(); ++s) {
        const Span& span = spans[s];
        if (span.view != view) continue;
        const int count = static_cast<int>(span.tokens.size());
        const int position = span.sequence->length();
        if (view == View::kDiffusion) {
          block_pages += pages_of(span);
        } else if (const Status status = span.sequence->reserve(count); status != Status::kOk) {
          return status;
        }
        first_row_[s] = static_cast<int>(ids_.size());
        rows.spans.push_back({.first_row = first_row_[s] - rows.first,
                              .rows = count,
                              .first_position = position,
                              .cache = {span.sequence->pages(), 0}});
        ids_.insert(ids_.end(), span.tokens.begin(), span.tokens.end());
        for (int i = 0; i < count; ++i) positions_.push_back(position + i);
      }
      rows.count = static_cast<int>(ids_.size()) - rows.first;
    }
    allocate(static_cast<int>(ids_.size()), logits_rows, block_pages);
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  }
  float* const* pages = block_pages_.data();
  size_t next = 0;
  for (const Span& span : spans) {
    if (span.view != View::kDiffusion) continue;
    views_[static_cast<int>(View::kDiffusion)].spans[next++].block = {pages, 0};
    pages += pages_of(span);
  }
  return Status::kOk;
}

// Lays the pass's activations out in the arena, which grows when a pass is the largest so far.
void ForwardPass::allocate(int rows, int logits_rows, int block_pages) {
  const ModelConfig& c = model_->config;
  const int q_width = c.num_attention_heads * c.head_dim;
  const int kv_width = c.num_key_value_heads * c.head_dim;
  struct Shape {
    Rows* view;
    int rows, cols;
  };
  const Shape shapes[] = {
      {&a_.x, rows, c.hidden_size},
      {&a_.normed, rows, c.hidden_size},
      {&a_.delta, rows, c.hidden_size},
      {&a_.q, rows, q_width},
      {&a_.k, rows, kv_width},
      {&a_.v, rows, kv_width},
      {&a_.attended, rows, q_width},
      {&a_.gate, rows, c.intermediate_size},
      {&a_.up, rows, c.intermediate_size},
      {&a_.cos, rows, c.head_dim / 2},
      {&a_.sin, rows, c.head_dim / 2},
      {&a_.head_input, logits_rows, c.hidden_size},
      {&a_.logits, logits_rows, c.vocab_size},
  };
  constexpr size_t kAlign = 16;  // rows begin on cache lines
  const auto stride = [](int cols) {
    return (static_cast<size_t>(cols) + kAlign - 1) / kAlign * kAlign;
  };
  const size_t page_floats = model_->kv_layout().layer_floats();

  size_t needed = page_floats * static_cast<size_t>(block_pages);
  for (const Shape& shape : shapes) needed += stride(shape.cols) * static_cast<size_t>(shape.rows);
  block_pages_.resize(static_cast<size_t>(block_pages));
  if (needed > arena_floats_) {
    arena_floats_ = 0;
    arena_.reset();
    arena_ = ops_->allocate(needed);
    arena_floats_ = needed;
  }

  float* next = arena_.get();
  for (const Shape& shape : shapes) {
    *shape.view = {next, shape.rows, shape.cols, stride(shape.cols)};
    next += stride(shape.cols) * static_cast<size_t>(shape.rows);
  }
  for (float*& page : block_pages_) {
    page = next;
    next += page_floats;
  }
}

}  // namespace orthrus
