// Rotary position embedding: which angles.
#pragma once

#include <cmath>
#include <vector>

#include "orthrus/config.h"

namespace orthrus {

// rope_theta^(-2i / head_dim), [head_dim / 2]: the angle of pair i at position p is p times this.
inline std::vector<float> rope_inv_freq(const ModelConfig& config) {
  std::vector<float> inv_freq(static_cast<size_t>(config.head_dim / 2));
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / config.head_dim;
    inv_freq[i] = static_cast<float>(1.0 / std::pow(config.rope_theta, exponent));
  }
  return inv_freq;
}

}  // namespace orthrus
