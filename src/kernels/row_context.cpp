#include "kernels/row_context.h"

#include <algorithm>
#include <cmath>

namespace orthrus {
namespace {

// One bias a token: the sum of those given, in their order.
std::vector<TokenBias> sums_of(std::vector<TokenBias> biases) {
  std::ranges::stable_sort(biases, {}, &TokenBias::token);
  std::vector<TokenBias> sums;
  for (const TokenBias& b : biases) {
    if (sums.empty() || sums.back().token != b.token) {
      sums.push_back(b);
    } else {
      sums.back().bias += b.bias;
    }
  }
  std::erase_if(sums, [](const TokenBias& b) { return b.bias == 0; });
  return sums;
}

float biased(float logit, float bias) {
  if (!std::isfinite(logit)) return logit;  // broken is broken
  return std::isinf(bias) ? kSuppressedLogit : logit + bias;
}

}  // namespace

bool RowContext::wanted(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.presence_penalty != 0 ||
         params.frequency_penalty != 0 || !params.logit_bias.empty();
}

RowContext::RowContext(const SamplingParams& params, std::span<const int32_t> prompt,
                       int vocab_size, int room)
    : penalties_{params.repetition_penalty, params.presence_penalty, params.frequency_penalty},
      occurrences_(static_cast<size_t>(vocab_size)),
      biases_(sums_of(params.logit_bias)) {
  tokens_.reserve(std::min(occurrences_.size(), prompt.size() + static_cast<size_t>(room)));
  for (const int32_t token : prompt) count(token, 1, 0);
}

void RowContext::append(int32_t token) {
  count(token, 2, 1);
}

// Its occurrence becomes `first` if there was none, else `more` larger.
void RowContext::count(int32_t token, Occurrence first, Occurrence more) {
  Occurrence& occurrence = occurrences_[static_cast<size_t>(token)];
  if (occurrence == 0) {
    tokens_.push_back(token);
    occurrence = first;
  } else {
    occurrence += more;
  }
  ++length_;
}

// The device does the same (kernels/cuda/row_context.cu).
float RowContext::penalised(float logit, Occurrence occurrence) const {
  logit = logit < 0 ? logit * penalties_.repetition : logit / penalties_.repetition;
  if (occurrence <= 1) return logit;
  logit -= penalties_.frequency * static_cast<float>(occurrence - 1);
  return logit - penalties_.presence;
}

void RowContext::adjust(std::span<float> row, std::span<const int32_t> drafts) const {
  const auto logit_of = [&](int32_t token) -> float& { return row[static_cast<size_t>(token)]; };
  std::vector<float> of_drafts;  // as they are without penalties
  for (const int32_t draft : drafts) of_drafts.push_back(logit_of(draft));
  for (const int32_t token : tokens_) {
    logit_of(token) = penalised(logit_of(token), occurrences_[static_cast<size_t>(token)]);
  }
  for (size_t i = 0; i < drafts.size(); ++i) {
    const int32_t draft = drafts[i];
    const auto more = static_cast<Occurrence>(std::ranges::count(drafts, draft));
    const Occurrence before = std::max(occurrences_[static_cast<size_t>(draft)], 1);
    logit_of(draft) = penalised(of_drafts[i], before + more);
  }
  for (const TokenBias& b : biases_) logit_of(b.token) = biased(logit_of(b.token), b.bias);
}

}  // namespace orthrus
