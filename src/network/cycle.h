// What a whole cycle of draft, verify and accept takes and gives, where a device runs it by itself.
#pragma once

#include <span>

#include "cache/kv_sequence.h"
#include "kernels/acceptance_table.h"
#include "kernels/tree_node.h"
#include "network/span.h"
#include "orthrus/sampling.h"
#include "orthrus/status.h"

namespace orthrus {

// A sequence whose anchor is known: the last token emitted, whose keys are not yet in the cache.
struct CycleStart {
  const KvSequence* sequence = nullptr;
  int32_t anchor = 0;
  int most_tokens = 0;  // that it may still emit, >= 1; the context has room for them
  int block_size = 1;   // most tokens that a cycle emits
  const SamplingParams* sampling = &kGreedy;
  const RowContext* context = nullptr;        // up to the anchor; what is emitted joins it there
  std::span<const int32_t> stop_token_ids{};  // emitting one ends it
};

// What is wanted of a sequence in a cycle.
struct CycleRequest {
  // Tokens to draft, up to block_size - 1; fewer near the last token. -1: it sits the cycle out.
  int drafts = -1;
  // 0: they are a chain, all of which is verified. Otherwise they are a tree, of which so many
  // nodes are at most, without its root: fewer where there is no room for its branches.
  int nodes = 0;
  // How likely those are to be accepted; null: as likely as their rows are sure of them. Valid
  // until the cycle has started.
  const AcceptanceTables* acceptances = nullptr;
};

// What a cycle gave of one sequence.
struct CycleResult {
  Status status = Status::kOk;  // kNonFiniteLogits: the AR view selected nothing, and it has ended
  int drafted = 0;              // tokens drafted; 0: a plain AR step
  int verified = 0;
  int accepted = 0;
  std::span<const int32_t> tokens;   // emitted; none once the sequence has ended
  std::span<const TreeNode> tree{};  // where one was asked for: the nodes that were verified
};

}  // namespace orthrus
