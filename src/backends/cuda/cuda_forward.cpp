#include "backends/cuda/cuda_forward.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <numeric>
#include <utility>

namespace orthrus::cuda {
namespace {

template <typename T>
void make_room(PinnedArray<T>& array, size_t size) {
  if (array.size() < size) array = PinnedArray<T>(size);
}

// At most, of the page table. What lies on a branch's path in its first page is copied there, too.
size_t table_entries(const Span& span) {
  const int length = span.sequence->length();
  int entries = pages_for(length + span.trunk_rows());
  for (const Branch& branch : span.branches) {
    entries += pages_for(length + branch.depth + branch.rows) + branch.depth;
  }
  return static_cast<size_t>(entries);
}

}  // namespace

Status CudaForwardPass::run(std::span<const Span> spans) {
  require(cudaSetDevice(ordinal_));
  const cudaStream_t stream = network_->stream();
  const auto vocabulary = static_cast<size_t>(network_->config().vocab_size);
  PassSizes shape;
  cudaGraphExec_t graph = nullptr;
  try {
    const bool pairwise = network_->config().pair_rank > 0;
    if (const Status status = plan_.make(spans, pairwise); status != Status::kOk) return status;
    const auto any_span = [&](const auto& holds) {
      return std::ranges::any_of(plan_.sampled, [&](const PassPlan::Sampled& row) {
        return holds(plan_.spans[row.span]);
      });
    };
    using Rows = PassPlan::SpanRows;
    shape = {
        .rows = plan_.rows,
        .logits = plan_.full_rows(),
        .tops = plan_.top_rows(),
        .sampled = any_span([](const Rows& rows) { return !rows.chained && !rows.candidates; }),
        .chained = any_span([](const Rows& rows) { return rows.chained; }),
        .offered = any_span([](const Rows& rows) { return rows.candidates; }),
        .adjusted = !plan_.contexts.empty(),
        .branched = std::ranges::any_of(spans, [](const Span& s) { return !s.branches.empty(); }),
        .alone = spans.size() == 1 && spans[0].branches.empty()};
    shape.round_up(plan_.longest);
    size_t pages = 0;
    for (const Span& span : spans) pages += table_entries(span);
    network_->reserve(shape, plan_.block_pages);
    if (generation_ != network_->generation()) graphs_.clear();
    generation_ = network_->generation();
    // Rows of the head are rounded up apart from the pass's, full and top rows each.
    const int most_rows = std::max(shape.all_rows(), shape.head_rows());
    const bool is_graph = shape.all_rows() <= kMostGraphRows;
    InputMemory& inputs = is_graph ? graph_inputs_ : large_inputs_;
    if (inputs.reserve(most_rows, pages, stream) && is_graph) graphs_.clear();
    inputs_ = &inputs;
    if (contexts_.reserve(plan_.contexts.size(), vocabulary, stream)) graphs_.clear();
    make_room(logits_, static_cast<size_t>(plan_.logits_rows) * vocabulary);
    make_room(sampled_, static_cast<size_t>(shape.logits));
    make_room(tops_, static_cast<size_t>(shape.tops));
    plan_offers();
    make_room(candidates_, static_cast<size_t>(offered_));
    if (pairwise) make_room(terms_, static_cast<size_t>(offered_));
    if (is_graph) {
      graph = graphs_.of(shape, stream, [&] { enqueue(shape); });
    }
    for (size_t i = 0; i < plan_.contexts.size(); ++i) {
      contexts_.upload(i, *plan_.contexts[i], stream);
    }
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  }
  require(cudaStreamSynchronize(stream));  // cycles in flight are not the pass's time
  const auto start = std::chrono::steady_clock::now();
  inputs_->upload(fill_inputs(spans, shape), stream);
  if (graph != nullptr) {
    require(cudaGraphLaunch(graph, stream));
  } else {
    enqueue(shape);
  }
  copy_back();
  fill_pair_rows(spans, shape);
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return Status::kOk;
}

void CudaForwardPass::enqueue(const PassSizes& shape) {
  network_->enqueue(shape, inputs_->device(), contexts_.contexts());
}

void CudaForwardPass::copy_back() {
  const auto copy = [&](auto* host, const auto* device, int count) {
    if (count == 0) return;
    require(cudaMemcpyAsync(host, device, static_cast<size_t>(count) * sizeof(*host),
                            cudaMemcpyDeviceToHost, network_->stream()));
  };
  const PassChoices choices = network_->choices();
  copy(tops_.data(), choices.tops, plan_.top_rows());
  if (!plan_.sampled.empty()) copy(sampled_.data(), choices.sampled, plan_.full_rows());
  copy(candidates_.data(), network_->candidates() + first_offered_, offered_);
  if (terms_.size() > 0) copy(terms_.data(), network_->terms() + first_offered_, offered_);
  const int vocabulary = network_->config().vocab_size;
  for (const PassPlan::SpanRows& rows : plan_.spans) {
    if (!rows.logits) continue;
    copy(logits_.data() + static_cast<std::ptrdiff_t>(rows.first_logits) * vocabulary,
         network_->logits() + static_cast<std::ptrdiff_t>(rows.first_head_row) * vocabulary,
         rows.head_rows * vocabulary);
  }
  require(cudaStreamSynchronize(network_->stream()));
}

HeadRows CudaForwardPass::head_rows(size_t span) const {
  const PassPlan::SpanRows& rows = plan_.spans[span];
  if (rows.logits) {
    const auto cols = static_cast<size_t>(network_->config().vocab_size);
    return {.logits = {logits_.data() + static_cast<size_t>(rows.first_logits) * cols,
                       rows.head_rows, static_cast<int>(cols), cols},
            .choices = {}};
  }
  if (rows.candidates) {
    return {.logits = {},
            .choices = {},
            .candidates = std::span(pair_rows_)
                              .subspan(static_cast<size_t>(rows.first_head_row - first_offered_),
                                       static_cast<size_t>(rows.head_rows))};
  }
  const Choice* const choices = (rows.full ? sampled_ : tops_).data();
  return {.logits = {},
          .choices = {choices + rows.first_head_row, static_cast<size_t>(rows.head_rows)}};
}

// Rows of diffusion spans begin at the end of the AR rows' bucket. Between them rows have no span:
// they are computed like others, and nobody looks at them. Returns how many entries of the page
// table there are.
int CudaForwardPass::fill_inputs(std::span<const Span> spans, const PassSizes& shape) {
  const PassInputs& in = inputs_->host();
  const auto& [ar, diffusion] = plan_.rows;
  PassCounts counts = {.rows = plan_.rows,
                       .spans = {},
                       .all_rows = diffusion > 0 ? shape.rows.ar + diffusion : ar,
                       .logits = plan_.full_rows(),
                       .tops = plan_.top_rows()};
  std::fill_n(in.ids, shape.all_rows(), 0);
  std::fill_n(in.select, plan_.full_rows(), SelectRow{});
  if (shape.branched) {
    std::fill_n(in.copies, shape.rows.ar, RowCopies{});
    std::iota(in.parents, in.parents + shape.rows.ar, -1);
  }
  int pages = 0, block_pages = 0;
  for (size_t s = 0; s < spans.size(); ++s) {
    const Span& span = spans[s];
    const PassPlan::SpanRows& own = plan_.spans[s];
    const int rows = static_cast<int>(span.tokens.size());
    const int position = span.sequence->length();
    const bool block = span.view == View::kDiffusion;
    int& count = counts.spans[span.view];
    in.spans[span.view][count++] = {.first_row = own.first_row,
                                    .rows = span.trunk_rows(),
                                    .first_position = position,
                                    .first_page = pages,
                                    .first_block_page = block ? block_pages : -1,
                                    .tree_rows = rows};
    const int first_row = shape.first_row(span.view) + own.first_row;
    std::copy(span.tokens.begin(), span.tokens.end(), in.ids + first_row);
    const int span_pages = pages_for(position + (block ? 0 : span.trunk_rows()));
    for (int i = 0; i < span_pages; ++i) {
      in.page_table[pages++] = network_->memory().page_at(span.sequence->pages()[i]);
    }
    if (block) block_pages += pages_for(rows);
    if (!span.branches.empty()) pages = fill_branches(span, own, pages, count);
    int* const head_rows = in.head_rows + (own.full ? 0 : shape.logits) + own.first_head_row;
    std::iota(head_rows, head_rows + own.head_rows, first_row + span.logits_begin);
  }
  for (const PassPlan::Sampled& row : plan_.sampled) {
    const Span& span = spans[row.span];
    const PassPlan::SpanRows& own = plan_.spans[row.span];
    SelectRow& select = in.select[row.head_row];
    select = select_row(*span.sampling, own.context);
    select.position = row.position(spans);
    select.probability = own.candidates || span.output == HeadOutput::kChoiceAndProbability;
    const int pass_row = shape.first_row(span.view) + own.first_row + row.row;
    if (own.chained || own.candidates) {
      const int place = row.row - span.logits_begin;
      select.join_chain(place, own.head_rows, pass_row - place);
    }
    if (own.context < 0) continue;
    select.drafts = span.count_drafts_before(row.row);
    select.last_draft = pass_row;
  }
  *in.counts = counts;
  return pages;
}

int CudaForwardPass::fill_branches(const Span& span, const PassPlan::SpanRows& own, int entries,
                                   int& spans) {
  const PassInputs& in = inputs_->host();
  const KvMemory& memory = network_->memory();
  const KvBranches& branches = span.sequence->branches();
  const int length = span.sequence->length(), first_page = length / kTilePositions;
  RowCopies* const copies = in.copies + own.first_row;
  int* const parents = in.parents + own.first_row;  // numbers of rows of the pass
  for (size_t b = 0; b < span.branches.size(); ++b) {
    const Branch& branch = span.branches[b];
    const int position = length + branch.depth, page = position / kTilePositions;
    const int pages = pages_for(position + branch.rows);
    const bool copied = page == first_page && length % kTilePositions > 0;
    in.spans.ar[spans++] = {
        .first_row = own.first_row + branch.first_row,
        .rows = branch.rows,
        .first_position = position,
        .first_page = entries,
        .behind = branch.depth,
        .copied_page = copied ? memory.page_at(span.sequence->pages()[page]) : -1};
    for (int i = 0; i < pages; ++i) {
      in.page_table[entries++] = memory.page_at(branches.pages(b)[i]);
    }
    parents[branch.first_row] = own.first_row + branch.parent;
  }
  // Calls f(row, b) for each row of the path before branch b that stands in b's first page.
  const auto for_each_copy = [&](const auto& f) {
    for (size_t b = 0; b < span.branches.size(); ++b) {
      const Branch& branch = span.branches[b];
      const int begin = (length + branch.depth) / kTilePositions * kTilePositions;
      int row = branch.parent;
      for (int p = length + branch.depth - 1; p >= std::max(begin, length); --p) {
        f(row, b);
        row = parents[row] - own.first_row;
      }
    }
  };
  for_each_copy([&](int row, size_t) { ++copies[row].count; });
  for (size_t row = 0; row < span.tokens.size(); ++row) {
    copies[row].first = entries;
    entries += std::exchange(copies[row].count, 0);
  }
  for_each_copy([&](int row, size_t b) {
    const int page = (length + span.branches[b].depth) / kTilePositions;
    RowCopies& of_row = copies[row];
    in.page_table[of_row.first + of_row.count++] = memory.page_at(branches.pages(b)[page]);
  });
  return entries;
}

// Rows of logits whose candidates are asked for: with others between them, perhaps.
void CudaForwardPass::plan_offers() {
  int first = plan_.full_rows(), end = 0;
  for (const PassPlan::SpanRows& rows : plan_.spans) {
    if (!rows.candidates) continue;
    first = std::min(first, rows.first_head_row);
    end = std::max(end, rows.first_head_row + rows.head_rows);
  }
  first_offered_ = first;
  offered_ = std::max(end - first, 0);
}

void CudaForwardPass::fill_pair_rows(std::span<const Span> spans, const PassSizes& shape) {
  if (offered_ == 0) return;
  const bool pairwise = network_->config().pair_rank > 0;
  pair_rows_.resize(static_cast<size_t>(offered_));
  for (const PassPlan::Sampled& sampled : plan_.sampled) {
    const PassPlan::SpanRows& own = plan_.spans[sampled.span];
    if (!own.candidates) continue;
    const Span& span = spans[sampled.span];
    const auto at = static_cast<size_t>(sampled.head_row - first_offered_);
    const DraftCandidates& from = candidates_.data()[at];
    PairRow& to = pair_rows_[at];
    const float temperature = span.sampling->greedy() ? 1 : span.sampling->temperature;
    to.best.tokens.clear();
    for (size_t i = 0; i < kPairCandidates && from.ids[i] >= 0; ++i) {
      to.best.tokens.push_back({.token = from.ids[i],
                                .logit = from.scores[i] * temperature,
                                .score = from.scores[i],
                                .ranked = static_cast<double>(from.values[i])});
    }
    to.best.log_total = static_cast<double>(from.top) + std::log(static_cast<double>(from.total));
    if (!pairwise) continue;
    // Before the first row stands the anchor, before others a candidate of the row in front.
    if (sampled.row == span.logits_begin) {
      const int row = shape.first_row(span.view) + own.first_row + sampled.row;
      to.before.assign(1, inputs_->host().ids[row]);
    } else {
      const auto& ids = candidates_.data()[at - 1].ids;
      to.before.assign(std::begin(ids), std::end(ids));
    }
    const float* const terms = terms_.data()[at].behind[0];
    to.terms.assign(terms, terms + to.before.size() * kPairCandidates);
  }
}

}  // namespace orthrus::cuda
