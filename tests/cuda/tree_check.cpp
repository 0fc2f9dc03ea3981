#include "tree_check.h"

#include <array>
#include <cstring>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "cache/kv_branches.h"
#include "expect.h"
#include "kernels/select.h"
#include "support/passes.h"

namespace orthrus {
namespace {

class Trees {
 public:
  Trees(const DeviceModel& model, std::string name, unsigned seed)
      : model_(model),
        name_(std::move(name)),
        seed_(seed),
        random_(seed),
        lane_(model.start(512)) {}

  // So many trees in one pass, of at most so many rows each.
  void run_pass_of(int count, int most_rows) {
    std::list<Tree> trees;
    for (int i = 0; i < count; ++i) grow(trees.emplace_back(lane_->pool()), most_rows);
    KvSequence plain(lane_->pool()), drafting(lane_->pool());
    const std::vector<int32_t> prompt = tokens(pick(1, 100)), others = tokens(pick(1, 20));
    run_behind(plain, prompt, prompt.size());
    run_behind(drafting, prompt, prompt.size());
    const int other_rows = static_cast<int>(others.size());

    std::vector<Span> spans;
    for (Tree& tree : trees) spans.push_back(span_of(tree));
    expect(plain.reserve(other_rows) == Status::kOk, name_ + ": no pages");
    const auto at = [&] { return spans.begin() + pick(0, static_cast<int>(spans.size())); };
    if (pick(0, 1) == 0) {
      spans.insert(at(), {&plain, others, View::kAutoregressive, 0, other_rows});
    }
    if (pick(0, 1) == 0) spans.insert(at(), {&drafting, others, View::kDiffusion, 0, other_rows});
    if (lane_->pass().run(spans) != Status::kOk) {
      throw Error(ErrorKind::kSystem, "A pass failed.");
    }
    std::vector<Given> given;
    for (size_t i = 0; i < spans.size(); ++i) given.emplace_back(lane_->pass().head_rows(i));
    for (size_t i = 0; i < spans.size(); ++i) {
      for (Tree& tree : trees) {
        if (spans[i].sequence == &tree.sequence) check(tree, spans[i], given[i]);
      }
      if (spans[i].sequence == &plain) {
        std::vector<int32_t> text = prompt;
        text.insert(text.end(), others.begin(), others.end());
        const std::vector<Row> want = rows_of(text, prompt.size());
        for (size_t r = 0; r < others.size(); ++r) {
          compare(given[i].logits[r], want[r], "a row beside trees");
        }
      }
    }
    for (Tree& tree : trees) go_on(tree);
  }

  void report() const {
    fmt::print("{}: {} rows of {} trees compared, up to {} in a pass, {} different\n", name_,
               compared_, grown_, most_rows_, different_);
  }

 private:
  struct Tree {
    explicit Tree(KvPool& pool) : sequence(pool) {}
    KvSequence sequence;
    std::vector<int32_t> text;  // before the tree
    std::vector<int32_t> tokens;
    std::vector<Branch> branches;
    SamplingParams params{};
    std::optional<RowContext> context;
    HeadOutput output = HeadOutput::kLogits;

    std::vector<int32_t> path_to(int row) const {
      std::vector<int32_t> path;
      for (; row >= 0; row = parent_of(branches, row)) {
        path.insert(path.begin(), tokens[static_cast<size_t>(row)]);
      }
      path.insert(path.begin(), text.begin(), text.end());
      return path;
    }
  };
  // What a pass gave of a span; the next pass takes its memory.
  struct Given {
    explicit Given(const HeadRows& rows) : choices(rows.choices.begin(), rows.choices.end()) {
      for (int r = 0; r < rows.logits.rows; ++r) {
        logits.emplace_back(rows.logits.row(r), rows.logits.row(r) + rows.logits.cols);
      }
    }
    std::vector<Row> logits;
    std::vector<Choice> choices;
  };

  int pick(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<unsigned>(most - least + 1));
  }
  std::vector<int32_t> tokens(int count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids) id = pick(0, model_.config().vocab_size - 1);
    return ids;
  }

  // A prompt that ends anywhere, near the border of a page most often, and a tree behind it.
  void grow(Tree& tree, int most_rows) {
    const int known = pick(0, 3) == 0 ? pick(1, 700) : 64 * pick(1, 9) - pick(-3, 10);
    tree.text = tokens(known);
    run_behind(tree.sequence, tree.text, tree.text.size());
    const int trunk = pick(1, std::min(16, most_rows));
    int rows = trunk;
    while (rows < most_rows && pick(0, 12) > 0) {
      const int parent = pick(0, 2) == 0 ? rows - 1 : pick(0, rows - 1);
      const int own = std::min(pick(0, 5) == 0 ? pick(1, 70) : pick(1, 4), most_rows - rows);
      tree.branches.push_back({parent, rows, own, depth_of(tree.branches, parent) + 1});
      rows += own;
    }
    tree.tokens = tokens(rows);
    ++grown_, most_rows_ = std::max(most_rows_, rows);
    tree.output = std::array{HeadOutput::kLogits, HeadOutput::kLogits, HeadOutput::kChoice,
                             HeadOutput::kChoiceAndProbability}[static_cast<size_t>(pick(0, 3))];
    if (pick(0, 1) == 0) tree.params.temperature = 0.7f;
    if (pick(0, 1) == 0) tree.params.repetition_penalty = 1.3f;
    tree.params.seed = random_();
    if (RowContext::wanted(tree.params)) {
      std::vector<int32_t> up_to_anchor = tree.text;
      up_to_anchor.push_back(tree.tokens[0]);
      tree.context.emplace(tree.params, up_to_anchor, model_.config().vocab_size, 0);
    }
    expect(tree.sequence.reserve(trunk) == Status::kOk &&
               tree.sequence.reserve_branches(tree.branches) == Status::kOk,
           name_ + ": no pages");
  }

  static Span span_of(const Tree& tree) {
    const int rows = static_cast<int>(tree.tokens.size());
    return {.sequence = &tree.sequence,
            .tokens = tree.tokens,
            .view = View::kAutoregressive,
            .logits_begin = 0,
            .logits_end = rows,
            .output = tree.output,
            .sampling = &tree.params,
            .context = tree.context ? &*tree.context : nullptr,
            .branches = tree.branches};
  }

  // The logits of `text`, which continues the sequence, from its token `first` on.
  std::vector<Row> run_behind(KvSequence& sequence, std::span<const int32_t> text, size_t first) {
    const Span span{&sequence, text, View::kAutoregressive, static_cast<int>(first),
                    static_cast<int>(text.size())};
    run_pass(*lane_, std::span(&span, 1));
    const ConstRows got = lane_->pass().head_rows(0).logits;
    std::vector<Row> rows;
    for (int r = 0; r < got.rows; ++r) rows.emplace_back(got.row(r), got.row(r) + got.cols);
    return rows;
  }
  std::vector<Row> rows_of(std::span<const int32_t> text, size_t first) {
    KvSequence sequence(lane_->pool());
    return run_behind(sequence, text, first);
  }

  void compare(const Row& got, const Row& want, const std::string& what) {
    ++compared_;
    const bool same = got.size() == want.size() &&
                      std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) == 0;
    different_ += !same;
    expect(same, fmt::format("{}: {}, seed {}", name_, what, seed_));
  }

  void check(const Tree& tree, const Span& span, const Given& given) {
    const int rows = static_cast<int>(tree.tokens.size());
    std::vector<char> inner(tree.tokens.size()), checked(tree.tokens.size());
    for (int row = 1; row < rows; ++row) {
      inner[static_cast<size_t>(parent_of(tree.branches, row))] = 1;
    }
    for (int leaf = 0; leaf < rows; ++leaf) {
      if (inner[static_cast<size_t>(leaf)]) continue;
      std::vector<Row> want = rows_of(tree.path_to(leaf), tree.text.size());
      for (int row = leaf; row >= 0; row = parent_of(tree.branches, row)) {
        if (std::exchange(checked[static_cast<size_t>(row)], char{1}) != 0) break;
        const int position = span.position(row);
        Row& logits = want[static_cast<size_t>(depth_of(tree.branches, row))];
        const std::string what =
            fmt::format("row {} of {} behind {} positions", row, rows, tree.text.size());
        if (tree.output == HeadOutput::kLogits) {
          compare(given.logits[static_cast<size_t>(row)], logits, what);
          continue;
        }
        if (span.context != nullptr) span.context->adjust(logits, span.drafts_before(row));
        const Choice choice = select(logits, position + 1, tree.params, false);
        const Choice& got = given.choices[static_cast<size_t>(row)];
        ++compared_;
        const bool same = got.id == choice.id && got.logit == choice.logit;
        different_ += !same;
        expect(same, fmt::format("{}: {}: token {}, not {}, seed {}", name_, what, got.id,
                                 choice.id, seed_));
      }
    }
  }

  // What follows when some row is the last that is right.
  void go_on(Tree& tree) {
    const int last = pick(0, static_cast<int>(tree.tokens.size()) - 1);
    std::optional<size_t> taken;
    for (size_t b = 0; b < tree.branches.size(); ++b) {
      if (last >= tree.branches[b].first_row) taken = b;
    }
    tree.sequence.take_branch(taken);
    tree.sequence.commit(depth_of(tree.branches, last) + 1);
    std::vector<int32_t> text = tree.path_to(last);
    const size_t before = text.size();
    const std::vector<int32_t> more = tokens(5);
    text.insert(text.end(), more.begin(), more.end());
    const std::vector<Row> rows = run_behind(tree.sequence, more, 0);
    const std::vector<Row> want = rows_of(text, before);
    for (size_t r = 0; r < rows.size(); ++r) compare(rows[r], want[r], "a row behind a path");
  }

  const DeviceModel& model_;
  std::string name_;
  unsigned seed_;
  std::mt19937 random_;
  std::unique_ptr<Lane> lane_;
  size_t compared_ = 0, different_ = 0;
  int grown_ = 0, most_rows_ = 0;
};

}  // namespace

void check_trees(const DeviceModel& model, const std::string& name, bool few, unsigned seed) {
  Trees trees(model, name, seed);
  if (few) return trees.run_pass_of(1, 12);
  for (int trial = 0; trial < 10; ++trial) {
    trees.run_pass_of(1, 16);
    trees.run_pass_of(1, 64);
    trees.run_pass_of(3, 32);
  }
  trees.run_pass_of(1, 128);
  trees.run_pass_of(4, 100);  // too many rows for a graph
  trees.report();
}

}  // namespace orthrus
