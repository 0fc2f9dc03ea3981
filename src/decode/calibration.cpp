#include "decode/calibration.h"

#include <iterator>

namespace orthrus {
namespace {

constexpr double kPriorWeight = 3;  // what it begins with is worth so many drafts
constexpr double kMemory = 0.99;    // of a bin, at each draft: about the last hundred count

}  // namespace

Calibration::Calibration(double trust) {
  float begin = 0;
  for (size_t i = 0; i < bins_.size(); ++i) {
    const float end = i < std::size(kBins.ends) ? kBins.ends[i] : 1.0f;
    bins_[i] = {kPriorWeight * trust * (begin + end) / 2, kPriorWeight};
    begin = end;
  }
}

double Calibration::acceptance(float probability) const {
  return bins_[kBins.of(probability)].acceptance();
}

void Calibration::copy_to(std::span<float, ConfidenceBins::kCount> table) const {
  for (size_t i = 0; i < bins_.size(); ++i) table[i] = static_cast<float>(bins_[i].acceptance());
}

void Calibration::observe(float probability, bool accepted) {
  Bin& bin = bins_[kBins.of(probability)];
  bin.accepted = bin.accepted * kMemory + (accepted ? 1 : 0);
  bin.seen = bin.seen * kMemory + 1;
}

}  // namespace orthrus
