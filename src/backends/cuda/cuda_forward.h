// Forward passes on a CUDA device, one after the other as the host asks for them.
#pragma once

#include <vector>

#include "backends/cuda/context_memory.h"
#include "backends/cuda/graphs.h"
#include "backends/cuda/input_memory.h"
#include "backends/cuda/pass_kernels.h"
#include "backends/forward_pass.h"
#include "network/pass_plan.h"

namespace orthrus::cuda {

class CudaForwardPass final : public ForwardPass {
 public:
  // The network must outlive it. Device `ordinal` becomes that of the thread that uses it.
  CudaForwardPass(PassKernels& network, int ordinal) : network_(&network), ordinal_(ordinal) {}

  Status run(std::span<const Span> spans) override;
  HeadRows head_rows(size_t span) const override;
  double seconds() const override { return seconds_; }

 private:
  void enqueue(const PassSizes& shape);
  void copy_back();
  int fill_inputs(std::span<const Span> spans, const PassSizes& shape);
  // Its branches' spans, and what the rows before them are to do; `entries` of the page table are
  // in use before, and so many after.
  int fill_branches(const Span& span, const PassPlan::SpanRows& own, int entries, int& spans);
  void plan_offers();
  void fill_pair_rows(std::span<const Span> spans, const PassSizes& shape);

  PassKernels* network_;
  int ordinal_;
  // Of passes that are graphs, which copy but a few rows, and of larger ones; and this pass's.
  InputMemory graph_inputs_, large_inputs_;
  const InputMemory* inputs_ = &graph_inputs_;
  ContextMemory contexts_;  // of spans that are asked for choices
  Graphs<PassSizes> graphs_;
  int generation_ = 0;  // of the network's memory, that the graphs were captured for

  PassPlan plan_;
  PinnedArray<float> logits_;  // [plan_.logits_rows][vocab_size]
  PinnedArray<Choice> sampled_, tops_;
  // Of drafts whose best few are asked for, by row of logits from first_offered_ on.
  PinnedArray<DraftCandidates> candidates_;
  PinnedArray<CandidateTerms> terms_;  // of no heads without them
  std::vector<PairRow> pair_rows_;
  int first_offered_ = 0, offered_ = 0;
  double seconds_ = 0;
};

}  // namespace orthrus::cuda
