#include "backends/cuda/cuda_forward.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <numeric>

namespace orthrus::cuda {
namespace {

template <typename T>
void make_room(PinnedArray<T>& array, size_t size) {
  if (array.size() < size) array = PinnedArray<T>(size);
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
    const auto chained = [&](const PassPlan::Sampled& row) {
      return plan_.spans[row.span].chained;
    };
    shape = {.rows = plan_.rows,
             .logits = plan_.full_rows(),
             .tops = plan_.top_rows(),
             .sampled = !std::ranges::all_of(plan_.sampled, chained),
             .chained = std::ranges::any_of(plan_.sampled, chained),
             .adjusted = !plan_.contexts.empty()};
    shape.round_up(plan_.longest);
    size_t pages = 0;
    for (const Span& span : spans) {
      const int rows = static_cast<int>(span.tokens.size());
      pages += static_cast<size_t>(pages_for(span.sequence->length() + rows));
    }
    network_->reserve(shape, plan_.block_pages);
    if (generation_ != network_->generation()) graphs_.clear();
    generation_ = network_->generation();
    // Rows of the head are rounded up apart from the pass's, full and top rows each.
    const int most_rows = std::max(shape.all_rows(), shape.head_rows());
    if (inputs_.reserve(most_rows, pages, stream)) graphs_.clear();
    if (contexts_.reserve(plan_.contexts.size(), vocabulary, stream)) graphs_.clear();
    make_room(logits_, static_cast<size_t>(plan_.logits_rows) * vocabulary);
    make_room(sampled_, static_cast<size_t>(shape.logits));
    make_room(tops_, static_cast<size_t>(shape.tops));
    if (shape.all_rows() <= kMostGraphRows) {
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
  inputs_.upload(fill_inputs(spans, shape), stream);
  if (graph != nullptr) {
    require(cudaGraphLaunch(graph, stream));
  } else {
    enqueue(shape);
  }
  copy_back();
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return Status::kOk;
}

void CudaForwardPass::enqueue(const PassSizes& shape) {
  network_->enqueue(shape, inputs_.device(), contexts_.contexts());
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
  const Choice* const choices = (rows.full ? sampled_ : tops_).data();
  return {.logits = {},
          .choices = {choices + rows.first_head_row, static_cast<size_t>(rows.head_rows)}};
}

// Rows of diffusion spans begin at the end of the AR rows' bucket. Between them rows have no span:
// they are computed like others, and nobody looks at them. Returns how many entries of the page
// table there are.
int CudaForwardPass::fill_inputs(std::span<const Span> spans, const PassSizes& shape) {
  const PassInputs& in = inputs_.host();
  const auto& [ar, diffusion] = plan_.rows;
  PassCounts counts = {.rows = plan_.rows,
                       .spans = {},
                       .all_rows = diffusion > 0 ? shape.rows.ar + diffusion : ar,
                       .logits = plan_.full_rows(),
                       .tops = plan_.top_rows()};
  std::fill_n(in.ids, shape.all_rows(), 0);
  std::fill_n(in.select, plan_.full_rows(), SelectRow{});
  int pages = 0, block_pages = 0;
  for (size_t s = 0; s < spans.size(); ++s) {
    const Span& span = spans[s];
    const PassPlan::SpanRows& own = plan_.spans[s];
    const int rows = static_cast<int>(span.tokens.size());
    const int position = span.sequence->length();
    const bool block = span.view == View::kDiffusion;
    in.spans[span.view][counts.spans[span.view]++] = {own.first_row, rows, position, pages,
                                                      block ? block_pages : -1};
    const int first_row = shape.first_row(span.view) + own.first_row;
    std::copy(span.tokens.begin(), span.tokens.end(), in.ids + first_row);
    const int span_pages = pages_for(position + (block ? 0 : rows));
    for (int i = 0; i < span_pages; ++i) {
      in.page_table[pages++] = network_->memory().page_at(span.sequence->pages()[i]);
    }
    if (block) block_pages += pages_for(rows);
    int* const head_rows = in.head_rows + (own.full ? 0 : shape.logits) + own.first_head_row;
    std::iota(head_rows, head_rows + own.head_rows, first_row + span.logits_begin);
  }
  for (const PassPlan::Sampled& row : plan_.sampled) {
    const Span& span = spans[row.span];
    const PassPlan::SpanRows& own = plan_.spans[row.span];
    SelectRow& select = in.select[row.head_row];
    select = select_row(*span.sampling, own.context);
    select.position = row.position(spans);
    select.probability = span.output == HeadOutput::kChoiceAndProbability;
    const int pass_row = shape.first_row(span.view) + own.first_row + row.row;
    if (own.chained) {
      const int place = row.row - span.logits_begin;
      select.join_chain(place, own.head_rows, pass_row - place);
    }
    if (own.context < 0) continue;
    select.drafts = static_cast<int>(span.drafts_before(row.row).size());
    select.first_draft = pass_row + 1 - select.drafts;
  }
  *in.counts = counts;
  return pages;
}

}  // namespace orthrus::cuda
