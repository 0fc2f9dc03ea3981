#include "decode/auto_policy.h"

#include <algorithm>
#include <cmath>

namespace orthrus {
namespace {

// How fast a history forgets, at each cycle: about the last five count, and the last hundred.
constexpr double kRecentMemory = 0.85;
constexpr double kLongMemory = 0.99;
// So many observations what is known from further away is worth: of a place the place before, of
// the last few cycles the long run.
constexpr double kPriorWeight = 2;
constexpr double kRecentPrior = 1;
constexpr double kVainRate = 0.05;   // a running mean's share of the new value
constexpr double kFirstGuess = 0.6;  // of the first place, before anything was seen

// Drafting must promise a little more than a plain step, which is certain.
constexpr double kMargin = 1.02;

constexpr int kLeastPatience = 8;
constexpr int kMostPatience = 64;
constexpr int kFirstPatience = 24;  // most of a new text, which may be of another kind
constexpr int kProbeDrafts = 2;
// Plain steps whose time must have been seen before anything is held against it.
constexpr int kLeastPlainSteps = 3;

double logit(double p) {
  p = std::clamp(p, 0.005, 0.995);
  return std::log(p / (1 - p));
}

}  // namespace

double AcceptanceHistory::long_run(int place) const {
  // A place that was hardly reached is taken to be like the one before.
  double share = kFirstGuess;
  for (int i = 0; i < std::min(place, kPlaces); ++i) {
    share = (long_[i].accepted + kPriorWeight * share) / (long_[i].seen + kPriorWeight);
  }
  return share;
}

// Shifts the long run's log-odds by as much as the last few cycles were off it.
double AcceptanceHistory::acceptance(int place) const {
  const double usual = long_run(place);
  if (recent_.seen <= 0) return usual;
  const double expected = recent_expected_ / recent_.seen;
  const double met = (recent_.accepted + kRecentPrior * expected) / (recent_.seen + kRecentPrior);
  const double log_odds = logit(usual) + logit(met) - logit(expected);
  return 1 / (1 + std::exp(-log_odds));
}

void AcceptanceHistory::observe(int place, double weight, double accepted) {
  recent_expected_ += weight * long_run(place);
  for (Share* share : {&recent_, &long_[std::min(place, kPlaces) - 1]}) {
    share->accepted += weight * accepted;
    share->seen += weight;
  }
}

void AcceptanceHistory::end_cycle() {
  recent_ = {recent_.accepted * kRecentMemory, recent_.seen * kRecentMemory};
  recent_expected_ *= kRecentMemory;
  for (Share& share : long_) {
    share = {share.accepted * kLongMemory, share.seen * kLongMemory};
  }
}

void AcceptanceHistory::begin_sequence() {
  recent_ = {};
  recent_expected_ = 0;
}

AutoPolicy::AutoPolicy(PolicyState& state)
    : state_(&state), plain_steps_(std::max(0, state.patience - kFirstPatience)) {
  state.history.begin_sequence();
}

template <typename Acceptance>
AutoPolicy::Plan AutoPolicy::best_plan(int most, Acceptance acceptance) const {
  Plan best;
  double tokens = 1;    // 1 + s_1 + ... + s_d
  double accepted = 1;  // s_d
  for (int d = 1; d <= most; ++d) {
    accepted *= acceptance(d);
    tokens += accepted;
    const double right = tokens - 1;
    const double verified = right + state_->verified_in_vain * (d - right);
    const double rate = tokens / (time(d + 1) + time(static_cast<int>(std::ceil(verified)) + 1));
    if (rate > best.rate) best = {d, rate};
  }
  return best;
}

int AutoPolicy::drafts(int most) {
  probabilities_.clear();
  acceptances_.clear();
  verified_ = 0;
  if (most == 0) return 0;
  if (state_->times.seen(sequences_) < kLeastPlainSteps) return 0;
  const double plain = plain_rate();
  most_ = most;
  const Plan plan = best_plan(most, [&](int place) { return state_->history.acceptance(place); });
  rate_ = std::max(plain, plan.rate);
  if (plan.rate > plain * kMargin) {
    probing_ = false;
    plain_steps_ = 0;
    return plan.drafts;
  }
  if (plain_steps_ < state_->patience) {
    ++plain_steps_;
    return 0;
  }
  probing_ = true;
  plain_steps_ = 0;
  return std::min(most, kProbeDrafts);
}

Verification AutoPolicy::verified(std::span<const float> probabilities) {
  probabilities_.assign(probabilities.begin(), probabilities.end());
  acceptances_.clear();
  verified_ = 0;
  double sum = 0;       // s_1 + ... + s_n
  double accepted = 1;  // s_n
  double expected = 0;  // the sum at verified_
  double best_gain = -rate_ * time(1);
  for (size_t i = 0; i < probabilities.size(); ++i) {
    acceptances_.push_back(state_->calibration.acceptance(probabilities[i]));
    accepted *= acceptances_.back();
    sum += accepted;
    const double gain = sum - rate_ * time(static_cast<int>(i) + 2);
    if (gain > best_gain) {
      best_gain = gain;
      verified_ = static_cast<int>(i) + 1;
      expected = sum;
    }
  }
  if (const double wrong = static_cast<double>(probabilities.size()) - sum; wrong > 0.1) {
    const double in_vain = std::clamp((verified_ - expected) / wrong, 0.0, 1.0);
    state_->verified_in_vain += (in_vain - state_->verified_in_vain) * kVainRate;
  }
  if (probing_) {
    // Would drafts that are accepted as often as these pay, in a block of the right size?
    const double mean = std::pow(accepted, 1.0 / static_cast<double>(probabilities.size()));
    const bool pays = best_plan(most_, [&](int) { return mean; }).rate > plain_rate();
    state_->patience = pays ? kLeastPatience : std::min(2 * state_->patience, kMostPatience);
    if (pays) plain_steps_ = state_->patience;
  }
  return {verified_, expected};
}

void AutoPolicy::observe_accepted(int accepted) {
  if (probabilities_.empty()) return;  // a plain step
  // Drafts that were not verified are taken at their word.
  double reached = 1;
  for (size_t i = 0; i < probabilities_.size(); ++i) {
    const int place = static_cast<int>(i) + 1;
    if (place <= verified_) {
      const bool right = place <= accepted;
      state_->calibration.observe(probabilities_[i], right);
      state_->history.observe(place, 1, right ? 1 : 0);
      if (!right) break;
    } else {
      state_->history.observe(place, reached, acceptances_[i]);
      reached *= acceptances_[i];
    }
  }
  state_->history.end_cycle();
}

void AutoPolicy::observe_pass(const PassTime& pass) {
  sequences_ = std::max(pass.sequences, 1);
  state_->times.add(pass.rows, pass.seconds);
}

}  // namespace orthrus
