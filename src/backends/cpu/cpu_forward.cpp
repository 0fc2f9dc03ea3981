#include "backends/cpu/cpu_forward.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <new>

#include "base/ceil_div.h"
#include "kernels/select.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

bool same(const Matrix& a, const Matrix& b) {
  return a.data == b.data;
}
bool same(const MlpWeights& a, const MlpWeights& b) {
  return same(a.gate_proj, b.gate_proj) && same(a.up_proj, b.up_proj) &&
         same(a.down_proj, b.down_proj);
}

const float* bias(const std::vector<float>& values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

Status CpuForwardPass::run(std::span<const Span> spans) {
  if (const Status status = plan(spans); status != Status::kOk) return status;
  const auto start = std::chrono::steady_clock::now();
  try {
    ops_->parallel([&] { network(spans); });
    sample(spans);
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  } catch (const Error&) {
    return Status::kNoThreads;
  }
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return Status::kOk;
}

void CpuForwardPass::network(std::span<const Span> spans) {
  const NetworkWeights& w = weights_->network;
  const float eps = weights_->config.rms_norm_eps;
  ops_->embed(w.embed_tokens, ids_, a_.x);
  ops_->rope_table(positions_, weights_->inv_freq, a_.cos, a_.sin);
  for (size_t i = 0; i < w.layers.size(); ++i) {
    const LayerWeights& layer = w.layers[i];
    ops_->rms_norm(a_.x, layer.input_layernorm, eps, a_.normed);
    attention(layer, i, View::kAutoregressive);
    attention(layer, i, View::kDiffusion);
    ops_->rms_norm(a_.x, layer.post_attention_layernorm, eps, a_.normed);
    const int ar_rows = views_.ar.count, rows = a_.x.rows;
    if (same(layer.mlp.ar, layer.mlp.diffusion)) {
      mlp(layer.mlp.ar, 0, rows);
    } else {
      mlp(layer.mlp.ar, 0, ar_rows);
      mlp(layer.mlp.diffusion, ar_rows, rows - ar_rows);
    }
  }
  head(spans);
}

// The same code serves both views. They differ in the weights, in where keys are written, and in
// what is visible, and the last two are the spans' to say.
void CpuForwardPass::attention(const LayerWeights& layer, size_t layer_index, View view) {
  const ViewRows& rows = views_[view];
  if (rows.count == 0) return;
  const AttentionWeights& w = layer.attention[view];
  const float eps = weights_->config.rms_norm_eps;
  const KvLayout layout = weights_->kv_layout();
  const size_t offset = layer_index * layout.layer_bytes();
  const auto of_view = [&](const Rows& all) { return all.slice(rows.first, rows.count); };
  const Rows q = of_view(a_.q), k = of_view(a_.k), v = of_view(a_.v);

  const Product projections[] = {{&w.q_proj, q, bias(w.q_bias)},
                                 {&w.k_proj, k, bias(w.k_bias)},
                                 {&w.v_proj, v, bias(w.v_bias)}};
  ops_->matmul(of_view(a_.normed), projections, workspace_);
  ops_->norm_rope_store(q, k, v, w.q_norm, w.k_norm, eps, {of_view(a_.cos), of_view(a_.sin)},
                        rows.spans, layout, offset);
  if (view == View::kAutoregressive) ops_->copy_slots(copies_, layout, offset);
  ops_->attention(q, rows.spans, layout, offset, of_view(a_.attended), workspace_);
  ops_->matmul_add(of_view(a_.attended), w.o_proj, of_view(a_.x), workspace_);
}

void CpuForwardPass::mlp(const MlpWeights& w, int first_row, int rows) {
  if (rows == 0) return;
  const Rows gated = a_.gated.slice(first_row, rows);
  ops_->matmul_swiglu(a_.normed.slice(first_row, rows), w.gate_proj, w.up_proj, gated, workspace_);
  ops_->matmul_add(gated, w.down_proj, a_.x.slice(first_row, rows), workspace_);
}

void CpuForwardPass::head(std::span<const Span> spans) {
  const NetworkWeights& w = weights_->network;
  for (size_t s = 0; s < spans.size(); ++s) {
    const PassPlan::SpanRows& rows = plan_.spans[s];
    if (rows.head_rows == 0) continue;
    const int first = views_[spans[s].view].first + rows.first_row + spans[s].logits_begin;
    ops_->rms_norm(a_.x.slice(first, rows.head_rows), w.norm, weights_->config.rms_norm_eps,
                   a_.head_input.slice(first_head_row(s), rows.head_rows));
  }
  Matrix of_drafts = w.lm_head.diffusion;
  of_drafts.rows = draft_vocabulary();
  // Calls run(matrix, first, rows) with each view's rows, or once where the views share the matrix.
  const auto by_view = [&](int ar_rows, int rows, const auto& run) {
    const bool shared = same(w.lm_head.ar, of_drafts) && w.lm_head.ar.rows == of_drafts.rows;
    if (shared) ar_rows = rows;
    if (ar_rows > 0) run(w.lm_head.ar, 0, ar_rows);
    if (rows > ar_rows) run(of_drafts, ar_rows, rows - ar_rows);
  };
  by_view(plan_.full.ar, plan_.full_rows(), [&](const Matrix& lm_head, int first, int rows) {
    const Product logits[] = {{&lm_head, a_.logits.slice(first, rows)}};
    ops_->matmul(a_.head_input.slice(first, rows), logits, workspace_);
  });
  by_view(plan_.top.ar, plan_.top_rows(), [&](const Matrix& lm_head, int first, int rows) {
    const int top = plan_.full_rows() + first;
    ops_->matmul_top(
        a_.head_input.slice(top, rows), lm_head, plan_.probability,
        std::span(choices_).subspan(static_cast<size_t>(top), static_cast<size_t>(rows)),
        workspace_);
  });
}

// A row a thread.
void CpuForwardPass::sample(std::span<const Span> spans) {
  pair_rows_.resize(plan_.sampled.size());
  std::atomic<size_t> next = 0;
  const auto sample_rows = [&] {
    for (size_t i = next++; i < plan_.sampled.size(); i = next++) sample_row(i, spans);
  };
  if (plan_.sampled.size() > 1) {
    ops_->parallel(sample_rows);
  } else {
    sample_rows();  // a team takes longer to begin
  }
  choose_chains(spans);
}

void CpuForwardPass::sample_row(size_t sampled, std::span<const Span> spans) {
  const PassPlan::Sampled& row = plan_.sampled[sampled];
  const Span& span = spans[row.span];
  std::span logits(a_.logits.row(row.head_row), static_cast<size_t>(a_.logits.cols));
  const bool probability = span.output == HeadOutput::kChoiceAndProbability;
  const int position = row.position(spans);
  if (span.context != nullptr) span.context->adjust(logits, span.drafts_before(row.row));
  if (span.view == View::kDiffusion) logits = logits.first(static_cast<size_t>(draft_vocabulary()));
  const PassPlan::SpanRows& rows = plan_.spans[row.span];
  if (rows.chained || rows.candidates) {
    pair_rows_[sampled] =
        pair_row(logits, position, *span.sampling, pair_tables(), probability || rows.candidates);
  } else {
    choices_[static_cast<size_t>(row.head_row)] =
        select(logits, position, *span.sampling, probability);
  }
}

void CpuForwardPass::choose_chains(std::span<const Span> spans) {
  for (size_t i = 0; i < plan_.sampled.size();) {
    const PassPlan::Sampled& first = plan_.sampled[i];
    const Span& span = spans[first.span];
    const auto count = static_cast<size_t>(plan_.spans[first.span].head_rows);
    if (plan_.spans[first.span].chained) {
      choose_drafts(std::span(pair_rows_).subspan(i, count),
                    span.tokens[static_cast<size_t>(first.row)], *span.sampling, pair_tables(),
                    span.output == HeadOutput::kChoiceAndProbability,
                    std::span(choices_).subspan(static_cast<size_t>(first.head_row), count));
    }
    i += count;
  }
}

int CpuForwardPass::first_head_row(size_t span) const {
  const PassPlan::SpanRows& rows = plan_.spans[span];
  return (rows.full ? 0 : plan_.full_rows()) + rows.first_head_row;
}

HeadRows CpuForwardPass::head_rows(size_t span) const {
  const int first = first_head_row(span), count = plan_.spans[span].head_rows;
  if (plan_.spans[span].logits) return {.logits = a_.logits.slice(first, count), .choices = {}};
  if (plan_.spans[span].candidates) {
    const auto sampled = static_cast<size_t>(plan_.spans[span].first_sampled);
    return {.logits = {},
            .choices = {},
            .candidates = std::span(pair_rows_).subspan(sampled, static_cast<size_t>(count)),
            .pairs = pair_tables()};
  }
  return {.logits = {},
          .choices =
              std::span(choices_).subspan(static_cast<size_t>(first), static_cast<size_t>(count))};
}

// Gives every row its token and position, and every span its pages.
Status CpuForwardPass::plan(std::span<const Span> spans) {
  try {
    if (const Status status = plan_.make(spans, has_pairs()); status != Status::kOk) return status;
    ids_.clear();
    positions_.clear();
    copies_.clear();
    choices_.resize(static_cast<size_t>(plan_.full_rows() + plan_.top_rows()));
    allocate();
    std::byte* const* block = block_pages_.data();
    for (const View view : kBothViews) {
      ViewRows& rows = views_[view];
      rows = {.first = view == View::kAutoregressive ? 0 : plan_.rows.ar,
              .count = plan_.rows[view],
              .spans = std::move(rows.spans)};
      rows.spans.clear();
      for (size_t s = 0; s < spans.size(); ++s) {
        const Span& span = spans[s];
        if (span.view != view) continue;
        const int count = static_cast<int>(span.tokens.size());
        const int first_row = plan_.spans[s].first_row;
        rows.spans.push_back({.first_row = first_row,
                              .rows = span.trunk_rows(),
                              .first_position = span.sequence->length(),
                              .cache = span.sequence->pages()});
        const KvBranches& branches = span.sequence->branches();
        for (size_t b = 0; b < span.branches.size(); ++b) {
          const Branch& branch = span.branches[b];
          rows.spans.push_back({.first_row = first_row + branch.first_row,
                                .rows = branch.rows,
                                .first_position = span.position(branch.first_row),
                                .cache = branches.pages(b)});
        }
        if (!span.branches.empty()) {
          copies_.insert(copies_.end(), branches.copies().begin(), branches.copies().end());
        }
        if (view == View::kDiffusion) {
          rows.spans.back().block = block;
          block += ceil_div(count, kPageSize);
        }
        ids_.insert(ids_.end(), span.tokens.begin(), span.tokens.end());
        for (int i = 0; i < count; ++i) positions_.push_back(span.position(i));
      }
    }
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  }
  return Status::kOk;
}

// Lays the pass's activations out in the arena, which grows when a pass is the largest so far.
void CpuForwardPass::allocate() {
  const int rows = plan_.all_rows();
  const ModelConfig& c = weights_->config;
  const int q_width = c.num_attention_heads * c.head_dim;
  const int kv_width = c.num_key_value_heads * c.head_dim;
  struct Shape {
    Rows* view;
    int rows, cols;
  };
  const Shape shapes[] = {
      {&a_.x, rows, c.hidden_size},
      {&a_.normed, rows, c.hidden_size},
      {&a_.q, rows, q_width},
      {&a_.k, rows, kv_width},
      {&a_.v, rows, kv_width},
      {&a_.attended, rows, q_width},
      {&a_.gated, rows, c.intermediate_size},
      {&a_.cos, rows, c.head_dim / 2},
      {&a_.sin, rows, c.head_dim / 2},
      {&a_.head_input, plan_.full_rows() + plan_.top_rows(), c.hidden_size},
      {&a_.logits, plan_.full_rows(), c.vocab_size},
  };
  // Rows begin on cache lines, an odd number of lines apart: at a large power of two they would
  // share the same few sets of the L1 cache.
  const auto stride = [](int cols) {
    constexpr size_t kLine = 16;
    return ((static_cast<size_t>(cols) + kLine - 1) / kLine | 1) * kLine;
  };
  const size_t page_floats = weights_->kv_layout().layer_bytes() / sizeof(float);

  const int widest = std::max({c.hidden_size, q_width, c.intermediate_size});
  const size_t workspace_floats =
      std::max(ops_->workspace_floats(rows, widest), ops_->attention_floats(weights_->kv_layout()));

  block_pages_.resize(static_cast<size_t>(plan_.block_pages));
  size_t needed = page_floats * block_pages_.size() + workspace_floats;
  for (const Shape& shape : shapes) needed += stride(shape.cols) * static_cast<size_t>(shape.rows);
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
  for (std::byte*& page : block_pages_) {
    page = reinterpret_cast<std::byte*>(next);
    next += page_floats;
  }
  workspace_ = next;
}

}  // namespace orthrus
