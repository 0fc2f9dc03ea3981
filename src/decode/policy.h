// How much to draft. A policy can change how fast tokens come, never which (docs/exactness.md).
#pragma once

#include <algorithm>
#include <optional>
#include <span>

#include "decode/draft_tree.h"
#include "kernels/acceptance_table.h"

namespace orthrus {

// Drafts that earlier cycles left over: the last block predicted the next positions too, from an
// anchor further back.
struct Leftover {
  std::span<const float> probabilities;  // under the diffusion view, of each
  int misses = 0;                        // tokens since their anchor that were drafted wrong
};

// Drafts that the text itself gave (lookup.h).
struct Found {
  int drafts = 0;
  int match = 0;      // tokens before the first that are the same where they come from
  bool near = false;  // which is a little behind where the text was copied before
};

// What a cycle begins with: a block of so many drafts, or, with none to be made, a verify of so
// many of those that are left over, or of those that were found. None of all is a plain AR step.
struct CyclePlan {
  int drafts = 0;
  int leftover = 0;
  int lookup = 0;
  double expected_accepted = 0;  // of leftover or lookup; 0 when the policy has no idea
};

struct Verification {
  int drafts = 0;
  double expected_accepted = 0;  // of them; 0 when the policy has no idea
};

// What became of a cycle's drafts.
struct Outcome {
  int verified = 0;
  int accepted = 0;
  bool ended = false;  // the text did, with the last of those: nothing behind it was compared

  // In how many places: the accepted ones, and the wrong one behind them, where there was one.
  int compared() const { return std::min(verified, accepted + (ended ? 0 : 1)); }
  int tokens() const { return accepted + (ended ? 0 : 1); }
};

// A cycle that a device runs whole: a block of so many drafts, all of which are verified, or a tree
// of at most so many nodes from it.
struct WholePlan {
  int drafts = 0;
  int nodes = 0;                 // 0: the drafts are a chain
  double expected_accepted = 0;  // 0 when the policy has no idea
  bool probe = false;            // it is not expected to pay, and shows what drafts are worth now
  // Of nodes; none: their confidences are. Valid until the next plan.
  const AcceptanceTables* acceptances = nullptr;
};

class Policy {
 public:
  virtual ~Policy() = default;

  // The next cycle: up to `most` drafts, or some of `left`, which are `most` at most, or some of
  // what was found, which may be more.
  virtual CyclePlan plan(int most, const Leftover& left, const Found& found) = 0;

  // Whether verified() looks at probabilities, which cost a little to compute. Where it does not,
  // they are zeros.
  virtual bool needs_probabilities() const = 0;

  // Of the drafts made, of these probabilities under the diffusion view, how many to verify,
  // 0..probabilities.size(); 0 is a plain AR step after all.
  virtual Verification verified(std::span<const float> probabilities) = 0;

  // Of the cycle of the last plan() and verified().
  virtual void observe_accepted(const Outcome& outcome) = 0;
  // Of what was found for that plan, verified or not, so many were the tokens that came; and
  // whether the next one was another.
  virtual void observe_found(const Found& found, int right, bool wrong) = 0;

  // Where drafts may be a tree, in place of verified() and observe_accepted(). P(a draft is
  // accepted | the one before it is), where its row is so sure of it, and has `rank` others before
  // it.
  virtual double acceptance(float confidence, int rank) const = 0;
  // Whether a tree of these nodes may become a better one by more that are each accepted with this
  // probability at most.
  virtual bool goes_on(std::span<const DraftNode> nodes, double reached) = 0;
  // How many of the nodes, which are in the order in which they would join, to verify; `chain`: of
  // the likeliest chain, of which there may be more than the tree has.
  virtual Verification verified_tree(std::span<const float> chain,
                                     std::span<const DraftNode> nodes) = 0;
  // Of these nodes, which were verified, those of `path` were accepted; `ended`: see Outcome.
  virtual void observe_path(std::span<const DraftNode> nodes, std::span<const int> path,
                            bool ended) = 0;

  // Where a device runs whole cycles, one of which is in flight when the next is planned: up to
  // `most` drafts, and trees of up to `most_nodes` nodes, or, with none, chains. And what became of
  // the next one to land, whose plan that is, with as many drafts as it made.
  virtual WholePlan plan_whole(int most, int most_nodes) = 0;
  // Between two of those: what a pass, which the host runs, does in place of the next one. It
  // verifies some of what was found, or nothing. No plan: that cycle runs.
  virtual std::optional<CyclePlan> plan_found(int most, int most_nodes, const Found& found) = 0;
  virtual void observe_whole(const WholePlan& plan, const Outcome& outcome) = 0;
  virtual void observe_whole_tree(const WholePlan& plan, std::span<const DraftNode> nodes,
                                  std::span<const int> path, bool ended) = 0;

  // So many sequences share passes now, this one included.
  virtual void share_passes(int sequences) = 0;
};

// As many drafts as fit a block of one size, all of them verified. Block size 1 is plain AR
// decoding.
class FixedPolicy : public Policy {
 public:
  explicit FixedPolicy(int block_size) : drafts_(block_size - 1) {}
  CyclePlan plan(int most, const Leftover&, const Found&) override {
    return {std::min(drafts_, most)};
  }
  bool needs_probabilities() const override { return false; }
  Verification verified(std::span<const float> probabilities) override {
    return {static_cast<int>(probabilities.size())};
  }
  void observe_accepted(const Outcome&) override {}
  double acceptance(float confidence, int) const override { return confidence; }
  bool goes_on(std::span<const DraftNode>, double) override { return true; }
  Verification verified_tree(std::span<const float>, std::span<const DraftNode> nodes) override {
    return {static_cast<int>(nodes.size())};
  }
  void observe_path(std::span<const DraftNode>, std::span<const int>, bool) override {}
  void observe_found(const Found&, int, bool) override {}
  WholePlan plan_whole(int most, int most_nodes) override {
    return {std::min(drafts_, most), most_nodes};
  }
  std::optional<CyclePlan> plan_found(int, int, const Found&) override { return std::nullopt; }
  void observe_whole(const WholePlan&, const Outcome&) override {}
  void observe_whole_tree(const WholePlan&, std::span<const DraftNode>, std::span<const int>,
                          bool) override {}
  void share_passes(int) override {}

 private:
  int drafts_;
};

}  // namespace orthrus
