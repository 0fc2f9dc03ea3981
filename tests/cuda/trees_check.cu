// Trees of drafts that warps grow, against the same code run lane by lane on the host, which
// tests/kernels/grow_tree_test.cpp compares with what the host makes of the same candidates.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/cycle.h"

namespace orthrus::cuda {
namespace {

constexpr int kSlots = 64;
constexpr int kMostPages = 40;
constexpr int kMemoryPage = 100000;

// What slots have to offer, and what the host says of them.
struct Offers {
  Offers(int most_depth, std::mt19937& random) : slots(kSlots), plans(kSlots) {
    const auto pick = [&](int low, int high) {
      return std::uniform_int_distribution<int>(low, high)(random);
    };
    for (int s = 0; s < kSlots; ++s) {
      CycleSlot& slot = slots[s];
      slot.position = pick(0, kMostPages * kTilePositions - 1 - most_depth);
      slot.anchor = pick(0, 1 << 20);
      slot.left = pick(0, 9) == 0 ? 0 : 1000;
      slot.planned = pick(0, 9) == 0 ? -1 : pick(0, most_depth);
      slot.drafted = slot.drafts = std::max(slot.planned, 0);
      slot.head_row = static_cast<int>(rows.size());
      slot.sampling.greedy = pick(0, 1) == 0;
      TreePlan& plan = plans[s];
      plan.nodes = pick(0, 3) == 0 ? pick(0, 127) : 31;
      plan.pages = kBranchPages / 2;  // of two slots each
      if (pick(0, 3) == 0) plan.pages = pick(0, plan.pages);
      plan.first_page = pick(0, kBranchPages - plan.pages);
      plan.calibrated = pick(0, 1);
      for (float* const table : {plan.acceptances.likeliest, plan.acceptances.others}) {
        std::generate_n(table, ConfidenceBins::kCount,
                        [&] { return static_cast<float>(pick(1, 1000)) / 1000; });
      }
      const float spread = static_cast<float>(pick(1, 40)) / 10;
      for (int i = 0; i < slot.drafts; ++i) add_row(random, spread);
    }
    if (rows.empty()) add_row(random, 1);
  }

  void add_row(std::mt19937& random, float spread) {
    std::normal_distribution<float> normal(0, spread), unit(0, 1);
    DraftCandidates& row = rows.emplace_back();
    const int count = random() % 8 == 0 ? static_cast<int>(random() % 33) : kPairCandidates;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = normal(random);
    std::sort(values.begin(), values.end(), std::greater<float>());
    const auto first = static_cast<int32_t>(random() % 1000);
    for (int i = 0; i < kPairCandidates; ++i) {
      row.ids[i] = i < count ? first + i * 7 % kPairCandidates : -1;
      row.values[i] = row.scores[i] = i < count ? values[static_cast<size_t>(i)] : NAN;
    }
    row.top = count > 0 ? values[0] : NAN;
    row.total = static_cast<float>(1 + random() % 5);
    for (const float value : values) row.total += std::exp(value - row.top);
    CandidateTerms& of_row = terms.emplace_back();
    for (auto& behind : of_row.behind) {
      for (float& term : behind) term = unit(random);
    }
  }

  std::vector<CycleSlot> slots;
  std::vector<TreePlan> plans;
  std::vector<DraftCandidates> rows;
  std::vector<CandidateTerms> terms;
};

// What one of the two gives.
struct Grown {
  explicit Grown(size_t entries)
      : trees(kSlots), nodes(static_cast<size_t>(kSlots) * kMostTreeNodes), table(entries) {
    for (size_t i = 0; i < entries; ++i) table[i] = static_cast<int>(i);
  }
  std::vector<SlotTree> trees;
  std::vector<TreeNode> nodes;
  std::vector<int> table;
};

TreeTables tables_of(int* entries) {
  return {.entries = entries,
          .branches = kSlots * kMostPages,
          .copies = (kSlots + kBranchPages) * kMostPages,
          .most_pages = kMostPages,
          .memory_page = kMemoryPage};
}
constexpr size_t kEntries =
    static_cast<size_t>(kSlots + kBranchPages) * kMostPages + kBranchPages * kMostTreeNodes;

// The pages for branches are shared by all slots, so their tables are compared slot by slot.
Grown grow_on_host(const Offers& offers, int s, bool with_terms) {
  Grown grown(kEntries);
  const CycleSlot& slot = offers.slots[s];
  const size_t first = static_cast<size_t>(slot.head_row);
  static TreeWork work;
  TreeTables tables = tables_of(grown.table.data());
  tables.own = s * kMostPages;
  TreeGrowth growth(offers.rows.data() + first, with_terms ? offers.terms.data() + first : nullptr,
                    slot.drafts, slot.sampling.greedy, slot.position, offers.plans[s], work);
  growth.grow(slot.anchor);
  growth.tell_nodes(grown.nodes.data() + static_cast<size_t>(s) * kMostTreeNodes);
  growth.lay_out(tables, grown.trees[s]);
  return grown;
}

// All on the device, or one slot alone.
struct OnDevice {
  OnDevice(const Offers& offers, bool with_terms)
      : slots(offers.slots),
        plans(offers.plans),
        rows(offers.rows),
        terms(offers.terms),
        trees(kSlots),
        nodes(static_cast<size_t>(kSlots) * kMostTreeNodes),
        table(Grown(kEntries).table),
        cycle(std::vector<uint32_t>{0}) {
    trees.poison(), nodes.poison();
    state.slots = kSlots;
    state.most_pages = kMostPages;
    state.of_slot = slots.data();
    state.cycle = cycle.data();
    state.exchanges[0].trees = plans.data();
    state.exchanges[0].nodes = nodes.data();
    state.trees.of_slot = trees.data();
    state.trees.tables = tables_of(table.data());
    of_terms = with_terms ? terms.data() : nullptr;
  }
  void grow() { CHECK_CUDA(grow_trees(state, rows.data(), of_terms, nullptr)); }
  Grown host() const {
    Grown grown(0);
    grown.trees = trees.host(), grown.nodes = nodes.host(), grown.table = table.host();
    return grown;
  }

  Array<CycleSlot> slots;
  Array<TreePlan> plans;
  Array<DraftCandidates> rows;
  Array<CandidateTerms> terms;
  Array<SlotTree> trees;
  Array<TreeNode> nodes;
  Array<int> table;
  Array<uint32_t> cycle;
  CycleState state;
  const CandidateTerms* of_terms = nullptr;
};

// What each node is reached with, likeliest first.
std::vector<double> reached(const TreeNode* nodes, int count, const TreePlan& plan) {
  std::vector<double> reached;
  for (int n = 0; n < count; ++n) {
    const TreeNode& node = nodes[n];
    double own = node.parent < 0 ? 1 : reached[static_cast<size_t>(node.parent)];
    const int bin = ConfidenceBins().of(node.confidence);
    const float* const table =
        node.rank == 0 ? plan.acceptances.likeliest : plan.acceptances.others;
    own *= plan.calibrated != 0 ? table[bin] : node.confidence;
    reached.push_back(own);
  }
  return reached;
}

bool same(const SlotTree& a, const SlotTree& b) {
  if (a.rows != b.rows || a.chains != b.chains) return false;
  for (int r = 0; r < a.rows; ++r) {
    if (a.tokens[r] != b.tokens[r] || a.parents[r] != b.parents[r] || a.depths[r] != b.depths[r] ||
        a.chain_of[r] != b.chain_of[r] || a.copies[r] != b.copies[r]) {
      return false;
    }
  }
  for (int c = 1; c < a.chains; ++c) {
    if (std::memcmp(&a.chain[c], &b.chain[c], sizeof a.chain[c]) != 0) return false;
  }
  return true;
}

// Where two nodes are as good as equally likely either may come first: then the trees may be other
// ones, but not worse ones.
void check_slot(Checks& checks, const Offers& offers, int s, const Grown& got, const Grown& want,
                int& alike) {
  const SlotTree &a = got.trees[s], &b = want.trees[s];
  const TreePlan& plan = offers.plans[s];
  const size_t first = static_cast<size_t>(s) * kMostTreeNodes;
  const int count = a.rows - 1;
  checks.expect(count >= 0 && count <= plan.nodes, "trees: slot %d has %d nodes of %d", s, count,
                plan.nodes);
  if (count < 0 || count > plan.nodes) return;
  for (int n = 0; n < count; ++n) {
    const TreeNode& node = got.nodes[first + n];
    checks.expect(node.parent >= -1 && node.parent < n, "trees: slot %d, node %d is behind %d", s,
                  n, node.parent);
    if (node.parent < -1 || node.parent >= n) return;
  }
  const std::vector<double> of_a = reached(&got.nodes[first], count, plan),
                            of_b = reached(&want.nodes[first], b.rows - 1, plan);
  if (same(a, b)) {
    ++alike;
    return;
  }
  double sum_a = 0, sum_b = 0;
  for (const double r : of_a) sum_a += r;
  for (const double r : of_b) sum_b += r;
  checks.expect(plan.calibrated != 0 || plan.pages < kBranchPages / 2 ||
                    std::abs(sum_a - sum_b) <= 1e-3 * sum_b + 1e-6,
                "trees: slot %d has %d nodes of %g drafts, not %d of %g", s, count, sum_a,
                b.rows - 1, sum_b);
}

// One slot by itself: the page tables, too.
void check_tables(Checks& checks, Offers offers, int s, bool with_terms) {
  for (int other = 0; other < kSlots; ++other) {
    if (other != s) offers.slots[other].planned = -1;
  }
  OnDevice device(offers, with_terms);
  device.grow();
  const Grown got = device.host(), want = grow_on_host(offers, s, with_terms);
  if (!same(got.trees[s], want.trees[s])) return;
  checks.expect(
      got.table.size() == want.table.size() &&
          std::equal(got.table.begin(), got.table.begin() + (kSlots + kBranchPages) * kMostPages,
                     want.table.begin()),
      "trees: slot %d: page tables differ", s);
  const SlotTree& tree = want.trees[s];
  for (int row = 0; row < tree.rows; ++row) {
    const int at = tables_of(nullptr).copies_of(tree.first_page, tree.copies_room, row);
    const auto copies = [&](const Grown& of) {
      std::vector<int> pages(of.table.begin() + at, of.table.begin() + at + tree.copies[row]);
      std::sort(pages.begin(), pages.end());
      return pages;
    };
    checks.expect(copies(got) == copies(want), "trees: slot %d, row %d is copied elsewhere", s,
                  row);
  }
}

// What growing a tree of 31 nodes takes.
void time_growth(std::mt19937& random) {
  Offers offers(15, random);
  for (CycleSlot& slot : offers.slots) slot.planned = -1;
  offers.rows.clear(), offers.terms.clear();
  for (int i = 0; i < 15; ++i) offers.add_row(random, 2);
  CycleSlot& slot = offers.slots[0];
  slot = {.position = 300, .left = 100, .planned = 15, .drafted = 15, .drafts = 15};
  slot.sampling.greedy = true;
  offers.plans[0] = {.nodes = 31, .pages = kBranchPages};
  OnDevice device(offers, true);
  cudaEvent_t begin, end;
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  constexpr int kTimes = 200;
  for (int i = 0; i < 20; ++i) device.grow();
  CHECK_CUDA(cudaEventRecord(begin));
  for (int i = 0; i < kTimes; ++i) device.grow();
  CHECK_CUDA(cudaEventRecord(end));
  CHECK_CUDA(cudaEventSynchronize(end));
  float milliseconds = 0;
  CHECK_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
  std::printf("a tree of 31 nodes grows in %.1f us, launch included\n",
              milliseconds * 1000 / kTimes);
  cudaEventDestroy(begin), cudaEventDestroy(end);
}

}  // namespace

void check_trees(Checks& checks) {
  std::mt19937 random(static_cast<unsigned>(checks.seed) + 5);
  int alike = 0, grown = 0;
  for (int trial = 0; trial < 30; ++trial) {
    const Offers offers(trial % 5 == 0 ? 127 : 15, random);
    const bool with_terms = trial % 3 > 0;
    OnDevice device(offers, with_terms);
    device.grow();
    CHECK_CUDA(cudaDeviceSynchronize());
    const Grown got = device.host();
    for (int s = 0; s < kSlots; ++s) {
      const CycleSlot& slot = offers.slots[s];
      if (slot.planned < 0) {
        int rows;
        std::memcpy(&rows, &got.trees[s].rows, sizeof rows);
        checks.expect(rows == -1, "trees: slot %d, which takes no part, has %d rows", s, rows);
        continue;
      }
      if (slot.left == 0) {
        checks.expect(got.trees[s].rows == 0, "trees: slot %d, which has ended, has rows", s);
        continue;
      }
      ++grown;
      check_slot(checks, offers, s, got, grow_on_host(offers, s, with_terms), alike);
    }
    for (int s = trial % 8; s < kSlots; s += 8) {
      if (offers.slots[s].planned >= 0 && offers.slots[s].left > 0) {
        check_tables(checks, offers, s, with_terms);
      }
    }
  }
  checks.expect(alike > grown * 9 / 10, "trees: %d of %d are as on the host", alike, grown);
  time_growth(random);
}

}  // namespace orthrus::cuda
