// Drafts of networks with a pairwise term on a CUDA device: what passes of several sequences choose
// against what the plain reference (kernels/pairwise.h) chooses from the logits that the device
// gives. For a machine with a device.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <list>
#include <random>
#include <string>
#include <vector>

#include "backends/cuda/cuda_model.h"
#include "base/half.h"
#include "expect.h"
#include "kernels/pairwise.h"
#include "kernels/select.h"
#include "orthrus/published_shapes.h"
#include "support/fresh_seed.h"
#include "support/gguf_model.h"
#include "support/passes.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

constexpr int kNoDevice = 77;  // CTest skips
int drafts = 0, near_ties = 0, moved = 0, others = 0, offers = 0;

// A table as the device has it.
struct RoundedTable {
  explicit RoundedTable(const Matrix& from) {
    const size_t count = static_cast<size_t>(from.rows) * static_cast<size_t>(from.cols);
    const Format& format = format_of(from.type);
    std::vector<float> wide(count);
    format.widen(static_cast<const std::byte*>(from.data),
                 count / static_cast<size_t>(format.block_columns), wide.data());
    for (const float number : wide) numbers.push_back(to_bf16(number));
    matrix = {numbers.data(), DType::kBF16, from.rows, from.cols};
  }
  RoundedTable(const RoundedTable&) = delete;

  double times(int32_t row, const RoundedTable& other, int32_t other_row) const {
    const auto cols = static_cast<size_t>(matrix.cols);
    double sum = 0;
    for (size_t i = 0; i < cols; ++i) {
      sum +=
          static_cast<double>(to_float(numbers[static_cast<size_t>(row) * cols + i])) *
          static_cast<double>(to_float(other.numbers[static_cast<size_t>(other_row) * cols + i]));
    }
    return sum;
  }

  std::vector<BF16> numbers;
  Matrix matrix;
};

class Drafts {
 public:
  Drafts(const DeviceModel& model, const NetworkWeights& weights, std::string name,
         std::mt19937& random)
      : model_(model),
        name_(std::move(name)),
        random_(random),
        lane_(model.start(64)),
        previous_(weights.pair_previous),
        next_(weights.pair_next) {}

  // A pass over blocks, and beside them other rows, each with a way of choosing of its own.
  void run_pass_of(int sequences) {
    std::list<KvSequence> own;
    std::vector<std::vector<int32_t>> ids;
    std::vector<RowContext> contexts;
    std::vector<SamplingParams> params;
    for (int s = 0; s < sequences; ++s) {
      own.emplace_back(lane_->pool());
      const std::vector<int32_t> prompt = tokens(1 + die(100));
      logits_of(*lane_, own.back(), prompt, View::kAutoregressive);
      params.push_back(parameters());
      contexts.emplace_back(params.back(), prompt, model_.config().vocab_size, 0);
    }
    std::vector<Span> spans;
    auto sequence = own.begin();
    for (int s = 0; s < sequences; ++s, ++sequence) {
      const bool block = s % 3 != 2;
      const int count = 1 + die(block ? 40 : 4);
      ids.push_back(tokens(count));
      if (block) {
        std::fill(ids.back().begin() + 1, ids.back().end(), model_.config().mask_token_id);
      }
    }
    sequence = own.begin();
    for (size_t s = 0; s < ids.size(); ++s, ++sequence) {
      const int count = static_cast<int>(ids[s].size());
      spans.push_back({.sequence = &*sequence,
                       .tokens = ids[s],
                       .view = s % 3 != 2 ? View::kDiffusion : View::kAutoregressive,
                       .logits_begin = die(4) == 0 ? die(count) : 0,
                       .logits_end = count});
      expect(sequence->reserve(count) == Status::kOk, name_ + ": no pages");
    }
    run(spans);
    std::vector<std::vector<Row>> logits;
    for (size_t s = 0; s < spans.size(); ++s) logits.push_back(rows_of(s));
    for (size_t s = 0; s < spans.size(); ++s) {
      spans[s].output = std::array{HeadOutput::kLogits, HeadOutput::kChoice,
                                   HeadOutput::kChoiceAndProbability}[static_cast<size_t>(die(3))];
      if (spans[s].view == View::kDiffusion && die(3) == 0) {
        spans[s].output = HeadOutput::kCandidates;
      }
      spans[s].sampling = &params[s];
      if (RowContext::wanted(params[s])) spans[s].context = &contexts[s];
    }
    run(spans);
    for (size_t s = 0; s < spans.size(); ++s) check(s, spans[s], logits[s]);
  }

 private:
  int die(int sides) { return static_cast<int>(random_() % static_cast<unsigned>(sides)); }
  std::vector<int32_t> tokens(int count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    for (int32_t& id : ids) id = die(model_.config().vocab_size);
    return ids;
  }
  SamplingParams parameters() {
    SamplingParams params;
    if (die(2) == 0) params = {.temperature = 0.3f + 0.1f * static_cast<float>(die(10))};
    if (die(3) == 0) params.top_k = 40;
    if (die(3) == 0) params.top_p = 0.9f;
    if (die(4) == 0) params.repetition_penalty = 1.3f;
    params.seed = random_();
    return params;
  }

  // Sequences stay as they are.
  void run(std::span<const Span> spans) {
    if (lane_->pass().run(spans) != Status::kOk) {
      throw Error(ErrorKind::kSystem, "A pass failed.");
    }
  }

  std::vector<Row> rows_of(size_t span) {
    const ConstRows got = lane_->pass().head_rows(span).logits;
    std::vector<Row> rows;
    for (int r = 0; r < got.rows; ++r) rows.emplace_back(got.row(r), got.row(r) + got.cols);
    return rows;
  }

  void check(size_t index, const Span& span, std::vector<Row>& logits) {
    if (span.output == HeadOutput::kLogits) {
      expect(rows_of(index) == logits, fmt::format("{}: logits of span {}", name_, index));
      return;
    }
    if (span.output == HeadOutput::kCandidates) return check_candidates(index, span, logits);
    const std::span<const Choice> got = lane_->pass().head_rows(index).choices;
    expect(got.size() == logits.size(), fmt::format("{}: rows of span {}", name_, index));
    int32_t before = span.tokens[static_cast<size_t>(span.logits_begin)];
    for (size_t i = 0; i < got.size(); ++i) {
      const int row = span.logits_begin + static_cast<int>(i);
      if (span.context != nullptr) span.context->adjust(logits[i], span.drafts_before(row));
      check_row(fmt::format("{}, span {} of {} rows, row {}, temperature {}", name_, index,
                            span.tokens.size(), row, span.sampling->temperature),
                span, row, logits[i], before, got[i]);
      before = got[i].id;
      if (before < 0) return;
    }
  }

  // What may follow each token that may stand before a row, against the same of the reference.
  void check_candidates(size_t index, const Span& span, std::vector<Row>& logits) {
    const HeadRows rows = lane_->pass().head_rows(index);
    expect(rows.candidates.size() == logits.size(),
           fmt::format("{}: rows of span {}", name_, index));
    std::vector<int32_t> before = {span.tokens[static_cast<size_t>(span.logits_begin)]};
    std::vector<NextToken> got, want;
    for (size_t i = 0; i < logits.size(); ++i) {
      const int row = span.logits_begin + static_cast<int>(i);
      if (span.context != nullptr) span.context->adjust(logits[i], {});
      const PairRow pairs = pair_row(logits[i], span.sequence->length() + row + 1, *span.sampling,
                                     tables(), /*with_probability=*/true);
      for (const int32_t token : before) {
        next_tokens(rows.candidates[i], token, *span.sampling, rows.pairs, got);
        next_tokens(pairs, token, *span.sampling, tables(), want);
        compare_next(fmt::format("{}, span {} of {} rows, row {}, temperature {}, behind {}", name_,
                                 index, span.tokens.size(), row, span.sampling->temperature, token),
                     got, want);
      }
      before.clear();
      for (const RankedToken& candidate : pairs.best.tokens) before.push_back(candidate.token);
    }
  }

  // Tokens that are as likely may change places, and the last of them be others.
  void compare_next(const std::string& what, std::span<const NextToken> got,
                    std::span<const NextToken> want) {
    ++offers;
    const auto near = [](float a, float b) { return std::abs(a - b) <= 1e-4f + 1e-3f * b; };
    bool same = got.size() == want.size();
    for (size_t i = 0; same && i < got.size(); ++i) {
      same = near(got[i].confidence, want[i].confidence);
      if (got[i].token == want[i].token) continue;
      const auto place = std::ranges::find(want, got[i].token, &NextToken::token);
      same = same && near(got[i].confidence,
                          place == want.end() ? want.back().confidence : place->confidence);
    }
    expect(same, what + ": other tokens may follow than should");
  }

  void check_row(const std::string& what, const Span& span, int row, const Row& logits,
                 int32_t before, const Choice& got) {
    const int position = span.sequence->length() + row + 1;
    const bool probability = span.output == HeadOutput::kChoiceAndProbability;
    const Choice alone = select(logits, position, *span.sampling, probability);
    if (span.view == View::kAutoregressive) {
      ++others;
      expect(got.id == alone.id, fmt::format("{}: {}, not {}", what, got.id, alone.id));
      return;
    }
    ++drafts;
    const PairRow pairs = pair_row(logits, position, *span.sampling, tables(), probability);
    Choice want;
    choose_drafts(std::span(&pairs, 1), before, *span.sampling, tables(), probability,
                  std::span(&want, 1));
    moved += want.id != alone.id;
    const auto value = [&](int32_t token) {
      for (const RankedToken& candidate : pairs.best.tokens) {
        if (candidate.token != token) continue;
        const double term = previous_.times(before, next_, token);
        return candidate.ranked +
               (span.sampling->greedy() ? term : term / span.sampling->temperature);
      }
      return static_cast<double>(NAN);
    };
    if (got.id != want.id) {
      const double gap = value(want.id) - value(got.id);
      ++near_ties;
      expect(gap < 1e-4, fmt::format("{}: draft {} behind {}, not {}, which is {} better", what,
                                     got.id, before, want.id, gap));
      return;
    }
    // A pass gives probabilities of greedy rows to all of them where one span asks.
    expect(got.logit == want.logit &&
               (!probability || std::abs(got.probability - want.probability) <= 1e-4f),
           fmt::format("{}: draft {} with logit {}, probability {}, not {}, {}", what, got.id,
                       got.logit, got.probability, want.logit, want.probability));
  }

  PairTables tables() const {
    if (model_.config().pair_rank == 0) return {};
    return {&previous_.matrix, &next_.matrix};
  }

  const DeviceModel& model_;
  std::string name_;
  std::mt19937& random_;
  std::unique_ptr<Lane> lane_;
  RoundedTable previous_, next_;
};

void check(DType type, int vocabulary, int rank, std::mt19937& random) {
  ModelConfig config = *published_shape("qwen2.5-coder-0.5b");
  config.vocab_size = vocabulary;
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 8;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.max_position_embeddings = 1024;
  config.tie_word_embeddings = false;
  config.mask_token_id = vocabulary - 1;
  config.pair_rank = rank;
  const test::TemporaryDirectory own;
  const auto file = own.path() / "model.gguf";
  const std::string name = fmt::format("vocabulary {}, rank {}", vocabulary, rank);
  test::write_random_gguf(file, config, type, random());
  const Checkpoint checkpoint = Checkpoint::open(file);
  const auto model =
      cuda::load_model(checkpoint.config(), Checkpoint::open(file), file.string(), 0, {});
  expect(model->config().pair_rank == rank, name + ": the network has another pairwise term");
  const NetworkWeights weights = bind_weights(checkpoint.config(), checkpoint, file.string());
  Drafts drafts(*model, weights, name, random);
  for (const int sequences : {1, 2, 3, 5, 9, 1, 4, 6, 8, 12}) drafts.run_pass_of(sequences);
}

}  // namespace
}  // namespace orthrus

int main() {
  using namespace orthrus;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is killed has printed its finds
  if (cuda::device_count() == 0) {
    fmt::print("no CUDA device\n");
    return kNoDevice;
  }
  const unsigned seed = test::fresh_seed();
  std::mt19937 random(seed);
  try {
    check(DType::kBF16, 500, 12, random);
    check(DType::kBF16, 20001, 128, random);
    check(DType::kQ8_0, 9000, 64, random);
    check(DType::kBF16, 2000, 0, random);  // no term
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
  fmt::print(
      "seed {}: {} drafts compared, {} of them others than without the term, {} nearly equal to "
      "others; {} tokens beside them; {} lists of candidates; {} failures\n",
      seed, drafts, moved, near_ties, others, offers, failures);
  return failures == 0 && moved > 0 ? 0 : 1;
}
