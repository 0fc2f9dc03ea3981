// Sampling a token from a row of logits: select() of kernels/select.h, for the device.
//
// The choice is a pure function of the row, the position and the parameters. Filters compare and
// add integers, keys of scores and probabilities in units of 2^-40 of the likeliest token's, so
// that no order of computing plays a part.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/choice.h"

namespace orthrus::cuda {

// How the token of one row is chosen: SamplingParams (orthrus/sampling.h), and its position.
struct SelectRow {
  float temperature = 0;  // 0: the row is not sampled, and its output left alone
  float top_p = 1;
  float min_p = 0;
  int top_k = 0;
  uint64_t seed = 0;
  int position = 0;  // of the token
  bool probability = false;
  bool greedy = false;  // the token with the largest logit; the temperature is 1 then

  // What the row is adjusted by before (kernels/cuda/row_context.h).
  int context = -1;                // its place among the contexts, or none
  int last_draft = 0, drafts = 0;  // the rows up to the row's own whose tokens are not in it

  // A draft that is chosen behind the one before it (kernels/cuda/pairwise.h): select() leaves its
  // output alone.
  int link = -1;   // its place in a chain of drafts, whose rows follow each other; or none
  int links = 0;   // in place 0: how many the chain has
  int anchor = 0;  // in place 0: of the pass's ids, the token before the chain

  // Greedy rows, too, are chosen from then.
  __host__ __device__ void join_chain(int place, int of, int anchor_row) {
    if (temperature <= 0) temperature = 1;
    link = place, links = of, anchor = anchor_row;
  }
};

// out[m] = the token that rows[m] chooses from logits[m], [vocabulary], for m < min(bucket,
// *count); its probability among the tokens that the filters leave where that is asked for. The id
// is -1 when a score is not finite. `stride` in floats.
[[nodiscard]] cudaError_t select(const float* logits, size_t stride, int vocabulary,
                                 const SelectRow* rows, Choice* out, int bucket, const int* count,
                                 cudaStream_t stream);

}  // namespace orthrus::cuda
