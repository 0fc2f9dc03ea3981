// The noise of kernels/philox.h, on the device.
#pragma once

#include <cstdint>

namespace orthrus::cuda {

// The four numbers of Philox4x32-10 for tokens 4 quad .. 4 quad + 3 of Stream::kSelect.
__device__ inline uint4 philox(uint64_t seed, int position, uint32_t quad) {
  uint4 x = {quad, static_cast<uint32_t>(position), 0, 0};
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t a = __umulhi(0xD2511F53u, x.x), a_low = 0xD2511F53u * x.x;
    const uint32_t b = __umulhi(0xCD9E8D57u, x.z), b_low = 0xCD9E8D57u * x.z;
    x = {b ^ x.y ^ key0, b_low, a ^ x.w ^ key1, a_low};
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return x;
}

// Standard Gumbel of a number, -log(-log(u)), u = (bits + 0.5) / 2^32. Never above kMostGumbel.
inline constexpr double kMostGumbel = 22.9;  // kMaxGumbel of kernels/philox.h
__device__ inline double gumbel(uint32_t bits) {
  return -log(-log((bits + 0.5) * 0x1p-32));
}

// At least that, and at most kGumbelSlack more: what tells most tokens that they can't win.
inline constexpr float kGumbelSlack = 2e-3f;
__device__ inline float gumbel_bound(uint32_t bits) {
  // Close to 1 it is the distance from 1 that float has the digits for.
  const float exponential = bits < 0x80000000u
                                ? -logf((static_cast<float>(bits) + 0.5f) * 0x1p-32f)
                                : -log1pf(-(static_cast<float>(~bits) + 0.5f) * 0x1p-32f);
  return -logf(exponential) + 0.5f * kGumbelSlack;
}

}  // namespace orthrus::cuda
