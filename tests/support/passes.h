// Running passes of any device's model for their logits, and how far logits are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include "backends/device_model.h"
#include "orthrus/error.h"
#include "support/model.h"

namespace orthrus {

using Row = std::vector<float>;

inline void run_pass(Lane& lane, std::span<const Span> spans) {
  if (run_and_commit(lane.pass(), spans) != Status::kOk)
    throw Error(ErrorKind::kSystem, "A pass failed.");
}

// All logits of `tokens`, which continue `sequence` in one pass.
inline ConstRows logits_of(Lane& lane, KvSequence& sequence, std::span<const int32_t> tokens,
                           View view) {
  const Span span{&sequence, tokens, view, 0, static_cast<int>(tokens.size())};
  run_pass(lane, std::span(&span, 1));
  return lane.pass().head_rows(0).logits;
}

// The distance of two rows, relative to the norm of the second.
inline double distance(std::span<const float> row, std::span<const float> from) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < row.size(); ++i) {
    const double d = static_cast<double>(row[i]) - from[i];
    difference += d * d;
    norm += static_cast<double>(from[i]) * from[i];
  }
  return std::sqrt(difference / norm);
}

// How far logits may be from those in float32 when weights, activations, keys and values are in
// BF16, as a distance().
//
// BF16 has 8 significant bits, so rounding to it errs by at most 2^-8 of the number. On the longest
// way through a layer there are 11 roundings: in attention the normed input, the weights of q, k
// and v, their results, the probabilities, what was attended, the weights of o; in the MLP the
// normed input, the weights of gate and up, what was gated, the weights of down; outside of layers
// three, of the embedding, the head's input and its weights. They are independent of each other, so
// errors add like steps of a random walk: the root of how many there are. A rounding's typical
// error is less than half of its largest, which leaves room for what the network makes larger on
// the way: in the MLP two inexact numbers are multiplied. Twice that for the worst of many rows.
inline double bf16_tolerance(const ModelConfig& config) {
  const double roundings = 11.0 * config.num_hidden_layers + 3;
  return 2 * std::sqrt(roundings) * 0x1p-8;
}

}  // namespace orthrus
