// How likely a text is to a model.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/counted.h"
#include "base/float_environment.h"
#include "decode/logprobs.h"
#include "engine/engine_impl.h"
#include "engine/request.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

// Rows of a pass, which bounds the logits held at a time: 39 MB with a vocabulary of 151,936.
constexpr int kRows = 64;

}  // namespace

std::vector<double> Engine::score(std::span<const int32_t> tokens, int first) const {
  const FloatEnvironment ours;
  impl().check_process();
  const ModelConfig& config = impl().config;
  const auto count = static_cast<int64_t>(tokens.size());
  if (count < 2 || count > config.max_position_embeddings) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} to be scored; valid is 2 to {}.", counted(count, "token"),
                            config.max_position_embeddings));
  }
  if (first < 1 || first >= count) {
    throw Error(ErrorKind::kUsage, fmt::format("first is {}; valid is 1 to {} for {} tokens.",
                                               first, count - 1, count));
  }
  check_token_ids(config, "Token", tokens);

  const int end = static_cast<int>(count) - 1;  // the last token is only predicted
  const auto lane = impl().start(static_cast<size_t>(end) / kPageSize + 1);
  KvSequence sequence(lane->pool());
  std::vector<double> scores;
  scores.reserve(static_cast<size_t>(count - first));
  for (int position = 0; position < end; position += kRows) {
    const int rows = std::min(kRows, end - position);
    // Row r has the token at position + r, and predicts the one after it.
    const int begin = std::clamp(first - 1 - position, 0, rows);
    if (sequence.reserve(rows) != Status::kOk) {
      throw Error(ErrorKind::kSystem,
                  fmt::format("Scoring failed after {}: {}.", counted(position, "token"),
                              describe(Status::kOutOfMemory)));
    }
    const Span span{
        .sequence = &sequence,
        .tokens = tokens.subspan(static_cast<size_t>(position), static_cast<size_t>(rows)),
        .logits_begin = begin,
        .logits_end = rows};
    const Status status = impl().on_device([&] { return lane->pass().run(std::span(&span, 1)); });
    if (status != Status::kOk) {
      throw Error(ErrorKind::kSystem, fmt::format("Scoring failed after {}: {}.",
                                                  counted(position, "token"), describe(status)));
    }
    sequence.commit(rows);
    const ConstRows logits = lane->pass().head_rows(0).logits;
    for (int r = begin; r < rows; ++r) {
      const int32_t next = tokens[static_cast<size_t>(position + r + 1)];
      const double score =
          token_logprob({logits.row(r - begin), static_cast<size_t>(logits.cols)}, next);
      if (!std::isfinite(score)) {
        throw Error(ErrorKind::kSystem,
                    fmt::format("Scoring failed after {}: {}.", counted(position + r, "token"),
                                describe(Status::kNonFiniteLogits)));
      }
      scores.push_back(score);
    }
  }
  return scores;
}

}  // namespace orthrus
