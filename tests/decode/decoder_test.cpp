// The cycle of draft, verify, accept: the official implementation's ids, where blocks end, what is
// counted, what stays in the cache.
#include "decode/decoder.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "kernels/cpu/cpu_ops.h"
#include "support/fresh_seed.h"
#include "support/golden.h"
#include "support/model.h"

namespace orthrus {
namespace {

struct Decoded {
  std::vector<int32_t> ids;
  DecodeCounts counts;
  Status status = Status::kOk;
  int cached = 0;
  std::vector<int> block_sizes;  // of the diffusion passes
  int trees = 0, branches = 0;   // verified
};

Decoded decode(const CpuWeights& model, std::span<const int32_t> prompt, const DecodeParams& params,
               Policy& policy) {
  const CpuOps ops(2);
  TestSequence s(model, ops);
  CpuForwardPass pass(model, ops);
  Decoder decoder(model.config, s.sequence, prompt, policy, params);
  Decoded run;
  for (int step = 0; !decoder.done(); ++step) {
    if (step % 3 != 0 && decoder.can_cycle()) decoder.prefers_pass();  // as if cycles had landed
    Span span = decoder.next();
    if (span.view == View::kDiffusion)
      run.block_sizes.push_back(static_cast<int>(span.tokens.size()));
    EXPECT_EQ(s.sequence.reserve(span.trunk_rows()), Status::kOk);
    if (!span.branches.empty()) {
      run.branches += static_cast<int>(span.branches.size());
      if (++run.trees % 8 == 0) {
        span = decoder.prune();  // as if there were no pages for branches
        EXPECT_TRUE(span.branches.empty());
      } else {
        EXPECT_EQ(s.sequence.reserve_branches(span.branches), Status::kOk);
      }
    }
    EXPECT_EQ(pass.run(std::span(&span, 1)), Status::kOk);
    run.status = decoder.take(pass.head_rows(0));
    run.ids.insert(run.ids.end(), decoder.emitted().begin(), decoder.emitted().end());
  }
  run.counts = decoder.counts();
  run.cached = s.sequence.length();
  return run;
}

Decoded decode(const CpuWeights& model, std::span<const int32_t> prompt,
               const DecodeParams& params) {
  FixedPolicy policy(params.block_size);
  return decode(model, prompt, params, policy);
}

TEST(Decoder, GeneratesTheOfficialImplementationsIdsInBothModes) {
  for (const char* name : {"tied", "untied"}) {
    const Golden golden = load_golden(name);
    const CpuWeights model = load_model(golden.directory);
    for (const GoldenCase& c : golden.cases) {
      const auto n = static_cast<int>(c.generate_ar.size() - c.prompt.size());
      const auto continuation = [&](const std::vector<int32_t>& all) {
        return std::vector<int32_t>(all.begin() + static_cast<ptrdiff_t>(c.prompt.size()),
                                    all.end());
      };
      const DecodeParams ar{.max_tokens = n, .prefill_chunk = 16};
      const Decoded plain = decode(model, c.prompt, ar);
      EXPECT_EQ(plain.ids, continuation(c.generate_ar));
      EXPECT_EQ(plain.counts.ar_passes, n - 1);
      EXPECT_EQ(plain.counts.diffusion_passes, 0);

      DecodeParams dual = ar;
      dual.block_size = model.config.block_size;
      const Decoded both = decode(model, c.prompt, dual);
      EXPECT_EQ(both.ids, continuation(c.generate_dual));
      EXPECT_EQ(both.cached, static_cast<int>(c.prompt.size()) + n - 1);
      // Every pass and every token is accounted for: the prefill gives one token, each verify or
      // plain step gives its accepted drafts and one more.
      EXPECT_EQ(both.counts.prefill_passes, static_cast<int>(c.prompt.size() + 15) / 16);
      EXPECT_EQ(both.counts.cycles, both.counts.diffusion_passes);
      EXPECT_EQ(1 + both.counts.ar_passes + both.counts.accepted, n);
    }
  }
}

TEST(Decoder, BlocksShortenAtTheTokenLimit) {
  const Golden golden = load_golden("untied");
  const CpuWeights model = load_model(golden.directory);
  for (int n = 1; n <= 12; ++n) {
    const Decoded run = decode(model, golden.cases[1].prompt,
                               {.block_size = 8, .max_tokens = n, .prefill_chunk = 64});
    ASSERT_EQ(run.ids.size(), static_cast<size_t>(n));
    for (const int size : run.block_sizes) EXPECT_LE(size, 7);  // d drafts take d rows
    if (n <= 2) {
      EXPECT_TRUE(run.block_sizes.empty());  // nothing to draft: a plain step
    } else {
      EXPECT_EQ(run.block_sizes.at(0), std::min(7, n - 2));
    }
  }
}

// On a model that repeats itself, drafts are accepted; an end token among them ends the sequence
// there, with the keys before it in the cache.
TEST(Decoder, StopsAtAnEndTokenInTheMiddleOfAcceptedDrafts) {
  const CpuWeights model = load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  const std::vector<int32_t> prompt{100, 200, 300, 400};
  const DecodeParams params{.block_size = 16, .max_tokens = 120, .prefill_chunk = 64};
  const Decoded whole = decode(model, prompt, params);
  ASSERT_GT(whole.counts.accepted, 30) << "this test needs accepted drafts";
  for (size_t at = 1; at < whole.ids.size(); ++at) {
    const auto first = std::find(whole.ids.begin(), whole.ids.end(), whole.ids[at]);
    if (first - whole.ids.begin() != static_cast<ptrdiff_t>(at)) continue;  // not its first place
    DecodeParams stopping = params;
    stopping.stop_token_ids = {whole.ids[at]};
    const Decoded run = decode(model, prompt, stopping);
    EXPECT_EQ(run.ids, std::vector<int32_t>(whole.ids.begin(), first + 1));
    EXPECT_EQ(run.cached, static_cast<int>(prompt.size() + run.ids.size()) - 1);
  }
}

// A decoder fed logits by hand: drafts and rows chosen so that exactly j drafts are accepted.
TEST(Decoder, AcceptsTheLongestAgreeingPrefixAndTheBonusToken) {
  const Golden golden = load_golden("tied");
  const CpuWeights model = load_model(golden.directory);
  const CpuOps ops(1);
  const auto rows_selecting = [](const std::vector<int32_t>& tokens) {
    std::vector<Choice> rows;
    for (const int32_t token : tokens) rows.push_back({.id = token, .logit = 1});
    return rows;
  };
  const std::vector<int32_t> prompt{5, 6};
  for (int agree = 0; agree <= 3; ++agree) {
    TestSequence s(model, ops);
    FixedPolicy policy(4);
    Decoder decoder(model.config, s.sequence, prompt, policy,
                    {.block_size = 4, .max_tokens = 50, .prefill_chunk = 64});
    const auto give = [&](const std::vector<int32_t>& tokens) {
      const std::vector<Choice> rows = rows_selecting(tokens);
      const Span span = decoder.next();
      ASSERT_EQ(span.logits_end - span.logits_begin, static_cast<int>(tokens.size()));
      ASSERT_EQ(decoder.take({.logits = {}, .choices = rows}), Status::kOk);
    };
    give({10});  // prefill: the anchor is 10
    const Span draft = decoder.next();
    ASSERT_EQ(draft.view, View::kDiffusion);
    EXPECT_EQ(std::vector<int32_t>(draft.tokens.begin(), draft.tokens.end()),
              (std::vector<int32_t>{10, 500, 500}));
    give({11, 12, 13});  // three drafts
    const Span verify = decoder.next();
    EXPECT_EQ(std::vector<int32_t>(verify.tokens.begin(), verify.tokens.end()),
              (std::vector<int32_t>{10, 11, 12, 13}));
    std::vector<int32_t> selected{11, 12, 13, 14};
    if (agree < 3) selected[agree] = 99;
    give(selected);
    selected.resize(agree + 1);
    EXPECT_EQ(std::vector<int32_t>(decoder.emitted().begin(), decoder.emitted().end()), selected);
    EXPECT_EQ(decoder.cycle().verified, 3);
    EXPECT_EQ(decoder.cycle().accepted, agree);
    EXPECT_EQ(s.sequence.length(), 2 + agree + 1);
    EXPECT_EQ(decoder.next().tokens[0], selected.back());  // the bonus token is the next anchor
  }
}

// Keeps what it is told.
class Listener final : public FixedPolicy {
 public:
  using FixedPolicy::FixedPolicy;
  CyclePlan plan(int most, const Leftover& left, const Found& found) override {
    left_over = static_cast<int>(left.probabilities.size());
    misses = left.misses;
    return FixedPolicy::plan(most, left, found);
  }
  void observe_accepted(const Outcome& outcome) override { outcomes.push_back(outcome); }
  Verification verified_tree(std::span<const float>, std::span<const DraftNode> of) override {
    return {static_cast<int>(of.size()), static_cast<double>(of.size())};
  }
  void observe_path(std::span<const DraftNode> of, std::span<const int> path, bool ended) override {
    nodes.assign(of.begin(), of.end());
    outcomes.push_back({static_cast<int>(of.size()), static_cast<int>(path.size()), ended});
  }
  void observe_whole(const WholePlan&, const Outcome& outcome) override {
    outcomes.push_back(outcome);
  }
  void observe_whole_tree(const WholePlan&, std::span<const DraftNode> of,
                          std::span<const int> path, bool ended) override {
    observe_path(of, path, ended);
  }
  std::vector<Outcome> outcomes;
  std::vector<DraftNode> nodes;  // of the last tree
  int left_over = 0, misses = 0;
};

TEST(Decoder, OfATreeThatIsPrunedNoMoreIsExpectedThanOfItsTrunk) {
  const CpuWeights model = load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  const CpuOps ops(1);
  const std::vector<int32_t> prompt{100, 200, 300, 400};
  TestSequence s(model, ops);
  CpuForwardPass pass(model, ops);
  Listener policy(16);
  Decoder decoder(model.config, s.sequence, prompt, policy,
                  {.block_size = 16, .tree_nodes = 64, .max_tokens = 50, .prefill_chunk = 64});
  bool pruned = false;
  while (!pruned) {
    Span span = decoder.next();
    pruned = !span.branches.empty();
    if (pruned) span = decoder.prune();
    ASSERT_EQ(s.sequence.reserve(span.trunk_rows()), Status::kOk);
    ASSERT_EQ(pass.run(std::span(&span, 1)), Status::kOk);
    ASSERT_EQ(decoder.take(pass.head_rows(0)), Status::kOk);
  }
  double of_trunk = 0;
  for (const DraftNode& node : policy.nodes) of_trunk += node.reached;
  EXPECT_GT(of_trunk, 0);
  EXPECT_EQ(decoder.counts().expected_accepted, of_trunk);
}

// The likeliest chain's first draft is wrong, and its second is the token that comes behind another
// one that the tree had in the first one's place.
TEST(Decoder, CountsTheWrongDraftsOfATreesLikeliestChain) {
  const Golden golden = load_golden("tied");
  const CpuWeights model = load_model(golden.directory);
  const CpuOps ops(1);
  TestSequence s(model, ops);
  Listener policy(4);
  const std::vector<int32_t> prompt{5, 6};
  Decoder decoder(model.config, s.sequence, prompt, policy,
                  {.block_size = 4, .tree_nodes = 3, .max_tokens = 50, .prefill_chunk = 64});
  const auto give = [&](const std::vector<int32_t>& tokens) {
    std::vector<Choice> rows;
    for (const int32_t token : tokens) rows.push_back({.id = token, .logit = 1});
    ASSERT_EQ(decoder.take({.logits = {}, .choices = rows}), Status::kOk);
  };
  decoder.next();
  give({10});
  decoder.next();
  // Of the first row two tokens; the others are not sure of theirs.
  std::vector<PairRow> rows(3);
  rows[0].best = {{{11, 0, -0.5f, -0.5}, {21, 0, -1, -1}}, 0};
  for (const int row : {1, 2}) {
    for (int i = 0; i < kPairCandidates; ++i) {
      const float score = -4 - static_cast<float>(i) / 100;
      rows[static_cast<size_t>(row)].best.tokens.push_back({11 + row + 100 * i, 0, score, score});
    }
  }
  ASSERT_EQ(decoder.take({.logits = {}, .choices = {}, .candidates = rows}), Status::kOk);
  const Span tree = decoder.next();
  ASSERT_EQ(std::vector(tree.tokens.begin(), tree.tokens.end()),
            (std::vector<int32_t>{10, 11, 21}));
  ASSERT_EQ(s.sequence.reserve(tree.trunk_rows()), Status::kOk);
  ASSERT_EQ(s.sequence.reserve_branches(tree.branches), Status::kOk);
  give({21, 99, 12});
  EXPECT_EQ(decoder.cycle().accepted, 1);
  EXPECT_EQ(decoder.cycle().judged, 1);
  decoder.next();
  EXPECT_EQ(policy.left_over, 1);
  EXPECT_EQ(policy.misses, 1);
}

// Of three drafts, where a stop token is an accepted one, a wrong one's place, or the bonus token.
TEST(Decoder, TellsThePolicyWhatWasComparedWhereTheTextEnds) {
  const Golden golden = load_golden("tied");
  const CpuWeights model = load_model(golden.directory);
  const CpuOps ops(1);
  const std::vector<int32_t> prompt{5, 6}, drafts{11, 12, 13};
  struct Case {
    std::vector<int32_t> chosen;
    int accepted;
    bool ended;
    int judged;
  };
  constexpr int32_t kStop = 12;
  const Case kCases[] = {{{11, 12, 13, 14}, 2, true, 2},
                         {{12, 12, 13, 14}, 0, false, 1},
                         {{11, 99, 13, 14}, 1, false, 2},
                         {{11, -1, 13, 14}, 1, true, 1}};  // and what was behind it is broken
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::PrintToString(c.chosen));
    for (const bool whole : {false, true}) {
      TestSequence s(model, ops);
      Listener policy(4);
      DecodeParams params{.block_size = 4, .max_tokens = 50, .prefill_chunk = 64};
      params.stop_token_ids = {kStop};
      Decoder decoder(model.config, s.sequence, prompt, policy, params);
      const auto give = [&](const std::vector<int32_t>& tokens) {
        std::vector<Choice> rows;
        for (const int32_t token : tokens) rows.push_back({.id = token, .logit = 1});
        decoder.next();
        ASSERT_EQ(decoder.take({.logits = {}, .choices = rows}), Status::kOk);
      };
      give({10});
      if (whole) {
        decoder.begin_cycles();
        ASSERT_EQ(decoder.plan_cycle().drafts, 3);
        const auto tokens = std::span(c.chosen).first(static_cast<size_t>(c.accepted + !c.ended));
        const CycleResult result{
            .drafted = 3, .verified = 3, .accepted = c.accepted, .tokens = tokens};
        ASSERT_EQ(decoder.take_cycle(result), Status::kOk);
      } else {
        give(drafts);
        give(c.chosen);
      }
      ASSERT_EQ(policy.outcomes.size(), 1u);
      EXPECT_EQ(policy.outcomes[0].verified, 3);
      EXPECT_EQ(policy.outcomes[0].accepted, c.accepted);
      EXPECT_EQ(policy.outcomes[0].ended, c.ended);
      EXPECT_EQ(decoder.cycle().judged, c.judged);
    }
  }
}

// A cycle that chose nothing at all, or had nothing to verify, says nothing of drafts.
TEST(Decoder, TellsThePolicyNothingOfDraftsThatNobodyComparedInAWholeCycle) {
  const Golden golden = load_golden("tied");
  const CpuWeights model = load_model(golden.directory);
  const CpuOps ops(1);
  const std::vector<int32_t> prompt{5, 6}, one{20};
  TestSequence s(model, ops);
  Listener policy(4);
  Decoder decoder(model.config, s.sequence, prompt, policy,
                  {.block_size = 4, .tree_nodes = 8, .max_tokens = 50, .prefill_chunk = 64});
  decoder.next();
  const std::vector<Choice> rows{{.id = 10, .logit = 1}};
  ASSERT_EQ(decoder.take({.logits = {}, .choices = rows}), Status::kOk);
  decoder.begin_cycles();
  decoder.plan_cycle();
  ASSERT_EQ(decoder.take_cycle({.drafted = 3, .tokens = one}), Status::kOk);
  ASSERT_EQ(policy.outcomes.size(), 1u);
  EXPECT_EQ(policy.outcomes[0].compared(), 0);
  decoder.plan_cycle();
  const CycleResult failed{
      .status = Status::kNonFiniteLogits, .drafted = 3, .verified = 3, .tokens = {}};
  EXPECT_EQ(decoder.take_cycle(failed), Status::kNonFiniteLogits);
  EXPECT_EQ(policy.outcomes.size(), 1u);
}

// Drafts, and verifies new, leftover and lookup drafts, as a die says.
class RandomPolicy final : public Policy {
 public:
  explicit RandomPolicy(unsigned seed) : random_(seed) {}
  CyclePlan plan(int most, const Leftover& left, const Found& found) override {
    EXPECT_LE(found.drafts, Lookup::kMostDrafts);
    found_ = found;
    for (const float p : left.probabilities) EXPECT_TRUE(p > 0 && p <= 1.0001f) << p;
    EXPECT_LE(static_cast<int>(left.probabilities.size()), most);
    if (found.drafts > 0 && pick(1) > 0) {
      EXPECT_GE(found.match, found.near ? 1 : Lookup::kLeastMatch);
      return {.lookup = pick(found.drafts)};
    }
    if (pick(2) > 0) return {.leftover = pick(static_cast<int>(left.probabilities.size()))};
    return {pick(most)};
  }
  bool needs_probabilities() const override { return true; }
  Verification verified(std::span<const float> probabilities) override {
    for (const float p : probabilities) EXPECT_TRUE(p > 0 && p <= 1.0001f) << p;
    return {pick(static_cast<int>(probabilities.size())), 0};
  }
  void observe_accepted(const Outcome& outcome) override { told(outcome); }
  // Trees of any shape.
  double acceptance(float confidence, int) const override {
    EXPECT_TRUE(confidence >= 0 && confidence <= 1.0001f) << confidence;
    return static_cast<double>(random_() % 1000) / 1000;
  }
  bool goes_on(std::span<const DraftNode>, double) override { return random_() % 50 != 0; }
  Verification verified_tree(std::span<const float>, std::span<const DraftNode> nodes) override {
    return {pick(static_cast<int>(nodes.size()))};
  }
  void observe_path(std::span<const DraftNode> nodes, std::span<const int> path,
                    bool ended) override {
    told({static_cast<int>(nodes.size()), static_cast<int>(path.size()), ended});
    int parent = -1;
    for (const int node : path) {
      ASSERT_LT(static_cast<size_t>(node), nodes.size());
      EXPECT_EQ(nodes[static_cast<size_t>(node)].parent, parent);
      parent = node;
    }
  }
  void observe_found(const Found& found, int right, bool wrong) override {
    EXPECT_EQ(found.drafts, found_.drafts);
    EXPECT_EQ(found.match, found_.match);
    EXPECT_LE(right + (wrong ? 1 : 0), found.drafts);
    ++judged;
  }
  int tokens = 0;  // of all cycles
  int judged = 0;  // times that it heard what became of what was found
  WholePlan plan_whole(int most, int most_nodes) override { return {pick(most), pick(most_nodes)}; }
  std::optional<CyclePlan> plan_found(int, int, const Found& found) override {
    if (pick(3) == 0) return std::nullopt;
    found_ = found;
    return CyclePlan{.lookup = pick(found.drafts)};
  }
  void observe_whole(const WholePlan&, const Outcome& outcome) override { told(outcome); }
  void observe_whole_tree(const WholePlan&, std::span<const DraftNode> nodes,
                          std::span<const int> path, bool ended) override {
    observe_path(nodes, path, ended);
  }
  void share_passes(int) override {}

 private:
  void told(const Outcome& outcome) {
    EXPECT_LE(outcome.accepted, outcome.verified);
    EXPECT_FALSE(ended_) << "and goes on all the same";
    ended_ = outcome.ended;
    tokens += outcome.tokens();
  }
  int pick(int most) { return static_cast<int>(random_() % static_cast<unsigned>(most + 1)); }
  mutable std::mt19937 random_;
  Found found_;
  bool ended_ = false;
};

TEST(Decoder, NoChoiceOfAPolicyChangesAToken) {
  const CpuWeights model = load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  const unsigned first_seed = test::fresh_seed();
  int accepted = 0, leftover = 0, lookup = 0, judged = 0;
  for (unsigned i = 0; i < 18; ++i) {
    const unsigned seed = first_seed + i;
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    std::vector<int32_t> prompt(1 + random() % 40);
    for (int32_t& id : prompt) id = static_cast<int32_t>(4 + random() % 8000);
    if (random() % 2 == 0) prompt.insert(prompt.end(), prompt.begin(), prompt.end());
    DecodeParams params{.max_tokens = 60, .prefill_chunk = 256};
    if (seed % 2 == 0) params.sampling = {.temperature = 0.7f, .top_k = 50, .seed = seed};
    if (seed % 3 == 0) params.sampling.repetition_penalty = 1.1f;
    if (seed % 3 == 1) params.sampling.frequency_penalty = 0.2f;
    const Decoded plain = decode(model, prompt, params);
    params.block_size = seed % 4 == 0 ? 1 : model.config.block_size;
    params.lookup = true;
    RandomPolicy policy(seed);
    const Decoded chosen = decode(model, prompt, params, policy);
    EXPECT_EQ(chosen.ids, plain.ids);
    EXPECT_EQ(1 + policy.tokens, static_cast<int>(chosen.ids.size()));
    accepted += chosen.counts.accepted;
    for (size_t n = 1; n < chosen.counts.leftover.size(); ++n)
      leftover += chosen.counts.leftover[n];
    for (size_t n = 1; n < chosen.counts.lookup.size(); ++n) lookup += chosen.counts.lookup[n];
    judged += policy.judged;
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(leftover, 0);
  EXPECT_GT(lookup, 0);
  EXPECT_GT(judged, lookup);
}

// Likewise trees, over borders of pages, with stop tokens and limits inside of them.
TEST(Decoder, NoShapeOfATreeChangesAToken) {
  const CpuWeights model = load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  const unsigned first_seed = test::fresh_seed();
  int accepted = 0, trees = 0, branches = 0;
  for (unsigned i = 0; i < 24; ++i) {
    const unsigned seed = first_seed + i;
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 random(seed);
    std::vector<int32_t> prompt(1 + random() % 80);
    for (int32_t& id : prompt) id = static_cast<int32_t>(4 + random() % 8000);
    DecodeParams params{.max_tokens = static_cast<int>(40 + random() % 60), .prefill_chunk = 256};
    if (seed % 2 == 0) params.sampling = {.temperature = 0.7f, .top_k = 50, .seed = seed};
    if (seed % 3 == 0) params.sampling.repetition_penalty = 1.1f;
    if (seed % 3 == 1) params.sampling.frequency_penalty = 0.2f;
    if (seed % 5 == 0) params.logprobs = 2;
    Decoded plain = decode(model, prompt, params);
    if (seed % 4 == 0) {
      const int32_t stop = plain.ids[random() % plain.ids.size()];
      params.stop_token_ids = {stop};
      plain.ids.resize(static_cast<size_t>(std::ranges::find(plain.ids, stop) - plain.ids.begin()) +
                       1);
    }
    params.block_size = model.config.block_size;
    params.tree_nodes = static_cast<int>(2 + random() % (kMostTreeNodes - 1));
    RandomPolicy policy(seed);
    const Decoded chosen = decode(model, prompt, params, policy);
    EXPECT_EQ(chosen.ids, plain.ids);
    EXPECT_EQ(chosen.cached, static_cast<int>(prompt.size() + chosen.ids.size()) - 1);
    EXPECT_EQ(1 + policy.tokens, static_cast<int>(chosen.ids.size()));
    accepted += chosen.counts.accepted;
    trees += chosen.trees;
    branches += chosen.branches;
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(trees, 20);
  EXPECT_GT(branches, 5 * trees);
}

// The likeliest nodes, as many as are asked for: never fewer tokens a cycle than the chain gives
// that the tree begins with.
TEST(Decoder, ATreeAcceptsMoreThanAChain) {
  const CpuWeights model = load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  for (const float temperature : {0.0f, 0.8f}) {
    DecodeParams params{.block_size = 16, .max_tokens = 300, .prefill_chunk = 64};
    params.sampling = {.temperature = temperature, .seed = 5};
    const std::vector<int32_t> prompt{100, 200, 300, 400};
    const Decoded chain = decode(model, prompt, params);
    params.tree_nodes = 64;
    const Decoded tree = decode(model, prompt, params);
    EXPECT_EQ(tree.ids, chain.ids);
    EXPECT_GT(tree.trees, 10);
    EXPECT_LT(tree.counts.ar_passes, chain.counts.ar_passes);
    EXPECT_EQ(tree.counts.cycles, tree.counts.diffusion_passes);
  }
}

// A sequence that loses its keys, wherever it is, computes them again. What it was about to do then
// is no cycle: every cycle gives its accepted drafts and a token more.
TEST(Decoder, ACycleThatIsCutShortIsNotCounted) {
  const CpuWeights model = load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  const CpuOps ops(2);
  const std::vector<int32_t> prompt{100, 200, 300, 400};
  std::mt19937 random(test::fresh_seed());
  TestSequence s(model, ops);
  CpuForwardPass pass(model, ops);
  RandomPolicy policy(static_cast<unsigned>(random()));
  Decoder decoder(
      model.config, s.sequence, prompt, policy,
      {.block_size = 16, .tree_nodes = 20, .lookup = true, .max_tokens = 240, .prefill_chunk = 64});
  int cut = 0;
  while (!decoder.done()) {
    const Span span = decoder.next();
    if (!decoder.prefilling() && random() % 2 == 0) {
      s.sequence.clear();
      decoder.start_again();
      ++cut;
      continue;
    }
    ASSERT_EQ(s.sequence.reserve(span.trunk_rows()), Status::kOk);
    ASSERT_EQ(s.sequence.reserve_branches(span.branches), Status::kOk);
    ASSERT_EQ(pass.run(std::span(&span, 1)), Status::kOk);
    ASSERT_EQ(decoder.take(pass.head_rows(0)), Status::kOk);
  }
  ASSERT_GT(cut, 0);
  const DecodeCounts& counts = decoder.counts();
  const auto sum = [](const std::vector<int>& of) {
    return std::accumulate(of.begin(), of.end(), 0);
  };
  EXPECT_EQ(1 + counts.ar_passes + counts.accepted, 240);
  EXPECT_EQ(counts.ar_passes, sum(counts.drafted) + sum(counts.leftover) + sum(counts.lookup));
  EXPECT_EQ(counts.ar_passes, counts.drafted[0] + counts.cycles);
  EXPECT_EQ(sum(counts.verified), sum(counts.drafted) - counts.drafted[0]);
}

// Its plans are all different, and it keeps those of which it hears.
class Planner final : public FixedPolicy {
 public:
  Planner() : FixedPolicy(4) {}
  WholePlan plan_whole(int most, int) override {
    ++plans;
    return {.drafts = most, .expected_accepted = plans / 8.0, .probe = plans == 2};
  }
  void observe_whole(const WholePlan& plan, const Outcome&) override { landed.push_back(plan); }
  int plans = 0;
  std::vector<WholePlan> landed;
};

TEST(Decoder, TellsThePolicyOfEachCycleInFlightWithItsOwnPlan) {
  const Golden golden = load_golden("tied");
  const CpuWeights model = load_model(golden.directory);
  const CpuOps ops(1);
  const std::vector<int32_t> prompt{5, 6}, one{20};
  TestSequence s(model, ops);
  Planner policy;
  Decoder decoder(model.config, s.sequence, prompt, policy,
                  {.block_size = 4, .max_tokens = 50, .prefill_chunk = 64});
  decoder.next();
  const std::vector<Choice> rows{{.id = 10, .logit = 1}};
  ASSERT_EQ(decoder.take({.logits = {}, .choices = rows}), Status::kOk);
  decoder.begin_cycles();
  decoder.plan_cycle();
  for (int i = 1; i <= 3; ++i) {
    decoder.plan_cycle();  // while one is in flight
    // The second one has made fewer drafts than were planned.
    const int drafted = i == 2 ? 1 : 3;
    ASSERT_EQ(decoder.take_cycle({.drafted = drafted, .verified = drafted, .tokens = one}),
              Status::kOk);
    ASSERT_EQ(policy.landed.size(), static_cast<size_t>(i));
    EXPECT_EQ(policy.landed.back().expected_accepted, i / 8.0);
    EXPECT_EQ(policy.landed.back().probe, i == 2);
    EXPECT_EQ(policy.landed.back().drafts, drafted);
  }
}

TEST(Decoder, BrokenLogitsEndTheSequenceButBrokenDraftsDoNot) {
  const Golden golden = load_golden("tied");
  const CpuWeights model = load_model(golden.directory);
  const CpuOps ops(1);
  TestSequence s(model, ops);
  const std::vector<int32_t> prompt{5};
  FixedPolicy policy(4);
  Decoder decoder(model.config, s.sequence, prompt, policy,
                  {.block_size = 4, .max_tokens = 50, .prefill_chunk = 64});
  std::vector<Choice> rows(3, Choice{.id = 0});
  const auto take = [&](int count) {
    decoder.next();
    return decoder.take({.logits = {}, .choices = std::span(rows).first(count)});
  };
  EXPECT_EQ(take(1), Status::kOk);
  rows[1].id = -1;  // the second draft
  EXPECT_EQ(take(3), Status::kOk);
  EXPECT_EQ(decoder.next().tokens.size(), 2u);  // the anchor and the first draft
  // After an accepted draft: what was selected stands, as plain decoding would have emitted it.
  EXPECT_EQ(take(2), Status::kOk);
  EXPECT_EQ(std::vector<int32_t>(decoder.emitted().begin(), decoder.emitted().end()),
            std::vector<int32_t>{0});
  EXPECT_EQ(s.sequence.length(), 2);
  rows[0].id = -1;
  EXPECT_EQ(take(3), Status::kOk);  // no usable draft
  EXPECT_EQ(take(1), Status::kNonFiniteLogits);
  EXPECT_TRUE(decoder.done());
  EXPECT_TRUE(decoder.emitted().empty());
}

}  // namespace
}  // namespace orthrus
