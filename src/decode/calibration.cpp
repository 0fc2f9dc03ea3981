#include "decode/calibration.h"

#include <algorithm>

namespace orthrus {
namespace {

constexpr double kPriorWeight = 3;  // what it begins with is worth so many drafts
constexpr double kMemory = 0.99;    // of a bin, at each draft: about the last hundred count

}  // namespace

Calibration::Calibration(double trust) {
  float begin = 0;
  for (size_t i = 0; i < bins_.size(); ++i) {
    const float end = i < kEnds.size() ? kEnds[i] : 1.0f;
    bins_[i] = {kPriorWeight * trust * (begin + end) / 2, kPriorWeight};
    begin = end;
  }
}

int Calibration::bin_of(float probability) {
  return static_cast<int>(std::upper_bound(kEnds.begin(), kEnds.end(), probability) -
                          kEnds.begin());
}

double Calibration::acceptance(float probability) const {
  const Bin& bin = bins_[bin_of(probability)];
  return bin.accepted / bin.seen;
}

void Calibration::observe(float probability, bool accepted) {
  Bin& bin = bins_[bin_of(probability)];
  bin.accepted = bin.accepted * kMemory + (accepted ? 1 : 0);
  bin.seen = bin.seen * kMemory + 1;
}

}  // namespace orthrus
