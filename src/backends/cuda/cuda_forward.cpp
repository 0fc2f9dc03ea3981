#include "backends/cuda/cuda_forward.h"

#include <algorithm>
#include <chrono>
#include <new>

namespace orthrus::cuda {
namespace {

template <typename T>
void make_room(PinnedArray<T>& array, size_t size) {
  if (array.size() < size) array = PinnedArray<T>(size);
}

}  // namespace

Status CudaForwardPass::run(std::span<const Span> spans) {
  require(cudaSetDevice(ordinal_));
  const PassSizes shape = plan(spans);
  cudaGraphExec_t graph = nullptr;
  const auto vocabulary = static_cast<size_t>(network_->config().vocab_size);
  int asked_logits = 0;
  for (const Asked& asked : asked_) asked_logits += asked.kind == Kind::kLogits ? asked.count : 0;
  try {
    size_t pages = 0;
    int block_pages = 0;
    for (const Span& span : spans) {
      const int rows = static_cast<int>(span.tokens.size());
      pages += static_cast<size_t>(pages_for(span.sequence->length() + rows));
      if (span.view == View::kDiffusion) block_pages += pages_for(rows);
    }
    const cudaStream_t stream = network_->stream();
    network_->reserve(shape, block_pages);
    if (generation_ != network_->generation()) graphs_.clear();
    generation_ = network_->generation();
    // Rows of the head are rounded up apart from the pass's, logits and tops each.
    const int most_rows = std::max(shape.all_rows(), shape.head_rows());
    if (inputs_.reserve(most_rows, pages, stream)) graphs_.clear();
    if (context_memory_.reserve(contexts_.size(), vocabulary, stream)) graphs_.clear();
    make_room(logits_, static_cast<size_t>(asked_logits) * vocabulary);
    make_room(sampled_, static_cast<size_t>(shape.logits));
    make_room(tops_, static_cast<size_t>(shape.tops));
    if (shape.all_rows() <= kMostGraphRows) {
      graph = graphs_.of(shape, stream, [&] { enqueue(shape); });
    }
    for (size_t i = 0; i < contexts_.size(); ++i) {
      context_memory_.upload(i, *contexts_[i], stream);
    }
  } catch (const std::bad_alloc&) {
    return Status::kOutOfMemory;
  }
  require(cudaStreamSynchronize(network_->stream()));  // cycles in flight are not the pass's time
  const auto start = std::chrono::steady_clock::now();
  inputs_.upload(fill_inputs(spans, shape), network_->stream());
  if (graph != nullptr) {
    require(cudaGraphLaunch(graph, network_->stream()));
  } else {
    enqueue(shape);
  }
  const auto copy_back = [&](auto* host, const auto* device, size_t count) {
    if (count == 0) return;
    require(cudaMemcpyAsync(host, device, count * sizeof(*host), cudaMemcpyDeviceToHost,
                            network_->stream()));
  };
  const PassCounts& counts = *inputs_.host().counts;
  const PassChoices choices = network_->choices();
  copy_back(tops_.data(), choices.tops, static_cast<size_t>(counts.tops));
  if (shape.sampled)
    copy_back(sampled_.data(), choices.sampled, static_cast<size_t>(counts.logits));
  copy_back(logits_.data(), network_->logits(), static_cast<size_t>(asked_logits) * vocabulary);
  require(cudaStreamSynchronize(network_->stream()));
  seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return Status::kOk;
}

void CudaForwardPass::enqueue(const PassSizes& shape) {
  network_->enqueue(shape, inputs_.device(), context_memory_.contexts());
}

HeadRows CudaForwardPass::head_rows(size_t span) const {
  const Asked& asked = asked_[span];
  const auto first = static_cast<size_t>(asked.first), count = static_cast<size_t>(asked.count);
  if (asked.kind == Kind::kLogits) {
    const auto cols = static_cast<size_t>(network_->config().vocab_size);
    return {.logits = {logits_.data() + first * cols, asked.count, static_cast<int>(cols), cols},
            .choices = {}};
  }
  const Choice* const choices = (asked.kind == Kind::kTop ? tops_ : sampled_).data();
  return {.logits = {}, .choices = {choices + first, count}};
}

// Of the rows whose logits are needed, those that were asked for come before those sampled from.
PassSizes CudaForwardPass::plan(std::span<const Span> spans) {
  PassSizes shape;
  int longest = 0;
  asked_.clear();
  contexts_.clear();
  for (const Span& span : spans) {
    const Kind kind = span.output == HeadOutput::kLogits ? Kind::kLogits
                      : span.takes_top()                 ? Kind::kTop
                                                         : Kind::kSampled;
    const int rows = static_cast<int>(span.tokens.size());
    shape.rows[span.view] += rows;
    longest = std::max(longest, span.sequence->length() + rows);
    Asked& asked = asked_.emplace_back(Asked{kind, 0, span.logits_end - span.logits_begin, -1});
    if (kind == Kind::kSampled && asked.count > 0 && span.context != nullptr) {
      asked.context = static_cast<int>(contexts_.size());
      contexts_.push_back(span.context);
      shape.adjusted = true;
    }
  }
  const auto place = [&](Kind kind, int& rows) {
    for (Asked& asked : asked_) {
      if (asked.kind != kind) continue;
      asked.first = rows;
      rows += asked.count;
      shape.sampled = shape.sampled || (kind == Kind::kSampled && asked.count > 0);
    }
  };
  place(Kind::kLogits, shape.logits);
  place(Kind::kSampled, shape.logits);
  place(Kind::kTop, shape.tops);
  shape.round_up(longest);
  return shape;
}

// Rows of AR spans come first; those of diffusion spans begin at the end of the AR rows' bucket.
// Between them rows have no span: they are computed like others, and nobody looks at them. Returns
// how many entries of the page table there are.
int CudaForwardPass::fill_inputs(std::span<const Span> spans, const PassSizes& shape) {
  const PassInputs& in = inputs_.host();
  PassCounts counts = {};
  std::fill_n(in.ids, shape.all_rows(), 0);
  int pages = 0, block_pages = 0;
  for (size_t s = 0; s < spans.size(); ++s) {
    const Span& span = spans[s];
    const int rows = static_cast<int>(span.tokens.size());
    const int position = span.sequence->length();
    const bool diffusion = span.view == View::kDiffusion;
    in.spans[span.view][counts.spans[span.view]++] = {counts.rows[span.view], rows, position, pages,
                                                      diffusion ? block_pages : -1};
    const int first_row = shape.first_row(span.view) + counts.rows[span.view];
    std::copy(span.tokens.begin(), span.tokens.end(), in.ids + first_row);
    counts.rows[span.view] += rows;
    const int span_pages = pages_for(position + (diffusion ? 0 : rows));
    for (int i = 0; i < span_pages; ++i) {
      in.page_table[pages++] = network_->memory().page_at(span.sequence->pages()[i]);
    }
    if (diffusion) block_pages += pages_for(rows);
    const Asked& asked = asked_[s];
    const bool top = asked.kind == Kind::kTop;
    (top ? counts.tops : counts.logits) += asked.count;
    for (int i = 0; i < asked.count; ++i) {
      const int row = span.logits_begin + i;
      in.head_rows[(top ? shape.logits : 0) + asked.first + i] = first_row + row;
      if (top) continue;
      SelectRow& select = in.select[asked.first + i];
      select = {};
      if (asked.kind == Kind::kSampled) {
        select = select_row(*span.sampling, asked.context);
        select.position = position + row + 1;
        if (asked.context >= 0) {
          select.drafts = static_cast<int>(span.drafts_before(row).size());
          select.first_draft = first_row + row + 1 - select.drafts;
        }
        select.probability = span.output == HeadOutput::kChoiceAndProbability;
      }
    }
  }
  const auto& [ar, diffusion] = counts.rows;
  counts.all_rows = diffusion > 0 ? shape.rows.ar + diffusion : ar;
  *in.counts = counts;
  return pages;
}

}  // namespace orthrus::cuda
