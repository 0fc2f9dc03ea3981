// What the tokens before a row of logits say about the token chosen from it: penalties of those
// that occur, and biases. A pure function of those tokens, so that a row of a verify block has the
// context that it has in plain decoding.
#pragma once

#include <span>
#include <vector>

#include "kernels/penalties.h"
#include "orthrus/sampling.h"

namespace orthrus {

class RowContext {
 public:
  // Whether the parameters ask for one. Where they don't, rows are taken as they are.
  static bool wanted(const SamplingParams& params);

  // The context of the row that follows `prompt`. Tokens and biases are of the vocabulary.
  // append() allocates nothing for `room` tokens.
  RowContext(const SamplingParams& params, std::span<const int32_t> prompt, int vocab_size,
             int room);

  void append(int32_t token);  // which was generated
  int length() const { return length_; }

  // Makes `row` what a token is chosen from, by the formula of SamplingParams, where `drafts` come
  // between the tokens so far and the row.
  void adjust(std::span<float> row, std::span<const int32_t> drafts) const;

  // What a device is given.
  const Penalties& penalties() const { return penalties_; }
  std::span<const Occurrence> occurrences() const { return occurrences_; }  // [vocab_size]
  std::span<const TokenBias> biases() const { return biases_; }  // at most one a token, none of 0

 private:
  void count(int32_t token, Occurrence first, Occurrence more);
  float penalised(float logit, Occurrence occurrence) const;

  Penalties penalties_;
  std::vector<Occurrence> occurrences_;
  std::vector<int32_t> tokens_;  // that occur
  std::vector<TokenBias> biases_;
  int length_ = 0;
};

}  // namespace orthrus
