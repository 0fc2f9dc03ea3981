// A CycleRunner that runs cycles pass by pass, plainly, on any device: the reference of those that
// a device runs (tests/cuda/cycles_check.cpp), and what the code that uses them is tested with
// where there is none. A cycle runs when it is waited for: only then is the one before committed,
// and the sequence as long as the cycle finds it.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "backends/cycle_runner.h"
#include "backends/forward_pass.h"
#include "decode/draft_tree.h"
#include "kernels/accept.h"

namespace orthrus {

class PassCycles final : public CycleRunner {
 public:
  static constexpr double kSeconds = 1e-3;  // that each pass is said to take

  PassCycles(ForwardPass& pass, int32_t mask_token_id, int slots = 8)
      : pass_(&pass),
        mask_(mask_token_id),
        tenants_(static_cast<size_t>(slots)),
        landed_(tenants_.size()) {}

  int slots() const override { return static_cast<int>(tenants_.size()); }

  bool takes(const CycleStart& start) const override {
    return static_cast<int>(start.stop_token_ids.size()) <= most_stops;
  }

  Status join(int slot, const CycleStart& start) override {
    if (no_room_for_sequences) return Status::kOutOfMemory;
    Tenant tenant;
    tenant.number = ++joined_;
    tenant.start = start;
    tenant.sampling = *start.sampling;
    tenant.stops.assign(start.stop_token_ids.begin(), start.stop_token_ids.end());
    tenant.anchor = start.anchor;
    tenant.left = start.most_tokens;
    if (start.context != nullptr) tenant.context = *start.context;
    of(slot) = std::move(tenant);
    most_sequences = std::max(
        most_sequences, static_cast<int>(std::count_if(tenants_.begin(), tenants_.end(), taken)));
    return Status::kOk;
  }

  void leave(int slot) override { of(slot) = {}; }

  Status start(std::span<const CycleRequest> by_slot) override {
    if (cycles_until_no_room == 0) return Status::kOutOfMemory;
    --cycles_until_no_room;
    ++started;
    std::vector<Part>& parts = flights_.emplace_back(tenants_.size());
    for (size_t s = 0; s < parts.size(); ++s) {
      if (by_slot[s].drafts < 0) continue;
      parts[s] = {tenants_[s].number, by_slot[s].drafts, by_slot[s].nodes, {}};
      if (by_slot[s].acceptances != nullptr) parts[s].acceptances = *by_slot[s].acceptances;
    }
    most_in_flight = std::max(most_in_flight, in_flight());
    return Status::kOk;
  }

  CycleTimes finish() override {
    const std::vector<Part> parts = std::move(flights_.front());
    flights_.pop_front();
    CycleTimes times;
    for (size_t s = 0; s < parts.size(); ++s) {
      landed_[s] = {};
      Tenant& tenant = tenants_[s];
      if (parts[s].tenant == 0 || parts[s].tenant != tenant.number) continue;
      landed_[s].tenant = tenant.number;
      if (tenant.left > 0) run(tenant, parts[s], landed_[s], times);
    }
    return times;
  }

  const CycleResult* result(int slot) const override {
    const Landed& landed = landed_[static_cast<size_t>(slot)];
    const uint64_t tenant = tenants_[static_cast<size_t>(slot)].number;
    return landed.tenant != 0 && landed.tenant == tenant ? &landed.result : nullptr;
  }

  int in_flight() const override { return static_cast<int>(flights_.size()); }

  void drain() override {
    flights_.clear();
    landed_.assign(tenants_.size(), {});
  }

  bool no_room_for_sequences = false;
  int cycles_until_no_room = -1;  // -1: never
  int most_stops = 64;
  int started = 0;  // cycles
  int most_in_flight = 0;
  int most_sequences = 0;
  int most_nodes = 0;  // of a tree

 private:
  struct Tenant {
    uint64_t number = 0;  // 0: the slot is free
    CycleStart start{};
    SamplingParams sampling{};
    std::vector<int32_t> stops{};
    int32_t anchor = 0;
    int left = 0;
    std::vector<int32_t> block{};
    std::optional<RowContext> context{};  // of its own: cycles run ahead of what is committed
  };
  struct Part {
    uint64_t tenant = 0;
    int drafts = -1;
    int nodes = 0;
    std::optional<AcceptanceTables> acceptances{};
  };
  struct Landed {
    uint64_t tenant = 0;
    CycleResult result{};
    std::vector<int32_t> tokens{};
    std::vector<TreeNode> tree{};
  };

  static bool taken(const Tenant& tenant) { return tenant.number != 0; }
  Tenant& of(int slot) { return tenants_[static_cast<size_t>(slot)]; }

  // What a pass over the tenant's block, or its tree, gives; nothing where it did not run.
  HeadRows head_rows(const Tenant& t, View view, HeadOutput output,
                     std::span<const Branch> branches = {}) {
    const Span span{.sequence = t.start.sequence,
                    .tokens = t.block,
                    .view = view,
                    .logits_end = static_cast<int>(t.block.size()),
                    .output = output,
                    .sampling = &t.sampling,
                    .context = t.context ? &*t.context : nullptr,
                    .branches = branches};
    if (pass_->run(std::span(&span, 1)) != Status::kOk) return {};
    return pass_->head_rows(0);
  }
  std::vector<int32_t> choices(const Tenant& t, View view, std::span<const Branch> branches = {}) {
    std::vector<int32_t> ids;
    for (const Choice& choice : head_rows(t, view, HeadOutput::kChoice, branches).choices) {
      ids.push_back(choice.id);
    }
    return ids;
  }

  // A tree of what the tenant's block has to offer.
  std::vector<DraftNode> grow(const Tenant& t, const Part& part) {
    const HeadRows rows = head_rows(t, View::kDiffusion, HeadOutput::kCandidates);
    const auto acceptance = [&](float confidence, bool likeliest) -> double {
      if (!part.acceptances) return confidence;
      const int bin = ConfidenceBins().of(confidence);
      return (likeliest ? part.acceptances->likeliest : part.acceptances->others)[bin];
    };
    std::vector<NextToken> next;
    const auto children = [&](int32_t before, int row, std::vector<DraftChild>& out) {
      next_tokens(rows.candidates[static_cast<size_t>(row)], before, t.sampling, rows.pairs, next);
      for (const NextToken& n : next) {
        out.push_back({n.token, n.confidence, acceptance(n.confidence, out.empty())});
      }
    };
    return likeliest_nodes(t.anchor, rows.rows(), part.nodes, children,
                           [](std::span<const DraftNode>, double) { return true; });
  }

  // Of the sequence's own pages, whose owner does not mind: the path that is taken becomes its own.
  static KvSequence& pages_of(const Tenant& t) {
    return const_cast<KvSequence&>(*t.start.sequence);
  }

  void run(Tenant& t, const Part& part, Landed& landed, CycleTimes& times) {
    const int d = std::min(part.drafts, t.left - 1);
    std::vector<int32_t> drafts;
    TreeRows tree;
    if (d > 0) {
      t.block.assign(static_cast<size_t>(d), mask_);
      t.block[0] = t.anchor;
      times.draft_rows += d;
      times.draft += kSeconds;
    }
    if (d > 0 && part.nodes > 0) {
      std::vector<DraftNode> nodes = grow(t, part);
      tree.make(t.anchor, nodes);
      if (pages_of(t).reserve_branches(tree.branches) != Status::kOk) {
        nodes.clear();
        tree.make(t.anchor, nodes);
      }
      for (const DraftNode& node : nodes) {
        landed.tree.push_back({node.token, node.confidence, static_cast<int16_t>(node.parent),
                               static_cast<int16_t>(node.rank)});
      }
      t.block = tree.tokens;
      most_nodes = std::max(most_nodes, static_cast<int>(nodes.size()));
    } else {
      if (d > 0) drafts = choices(t, View::kDiffusion);
      drafts.erase(std::find(drafts.begin(), drafts.end(), -1), drafts.end());
      t.block.assign(1, t.anchor);
      t.block.insert(t.block.end(), drafts.begin(), drafts.end());
    }
    const std::vector<int32_t> selected = choices(t, View::kAutoregressive, tree.branches);
    times.verify_rows += static_cast<int>(t.block.size());
    times.verify += kSeconds;
    const ChainOfDrafts chain{drafts.data(), static_cast<int>(drafts.size())};
    int last = 0;
    const Acceptance accepted =
        accept_path([&](int row) { return selected[static_cast<size_t>(row)]; },
                    [&](int row, int32_t y) {
                      const int child = tree.empty() ? chain(row, y) : tree.child(row, y);
                      return child < 0 ? child : last = child;
                    },
                    [&](int32_t y) {
                      landed.tokens.push_back(t.anchor = y);
                      if (t.context) t.context->append(y);
                      --t.left;
                      if (std::find(t.stops.begin(), t.stops.end(), y) != t.stops.end()) t.left = 0;
                      return t.left > 0;
                    });
    if (!tree.empty()) pages_of(t).take_branch(tree.branch_of(last));
    if (accepted.failed) t.left = 0;
    landed.result = {.status = accepted.failed ? Status::kNonFiniteLogits : Status::kOk,
                     .drafted = d,
                     .verified = static_cast<int>(t.block.size()) - 1,
                     .accepted = accepted.accepted,
                     .tokens = landed.tokens,
                     .tree = landed.tree};
  }

  ForwardPass* pass_;
  int32_t mask_;
  std::vector<Tenant> tenants_;
  std::vector<Landed> landed_;
  std::deque<std::vector<Part>> flights_;
  uint64_t joined_ = 0;
};

}  // namespace orthrus
