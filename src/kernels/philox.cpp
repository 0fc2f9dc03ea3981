#include "kernels/philox.h"

#include <cmath>

namespace orthrus {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;  // the golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

namespace {

double uniform(uint32_t word) {
  return (word + 0.5) * 0x1p-32;
}

}  // namespace

uint32_t NoiseWords::of(int32_t token) {
  const auto id = static_cast<uint32_t>(token);
  if (id / 4 != number_) {
    number_ = id / 4;
    block_ =
        philox4x32({id / 4, static_cast<uint32_t>(position_), static_cast<uint32_t>(stream_), 0},
                   {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
  }
  return block_[id % 4];
}

double uniform(uint64_t seed, Stream stream, int position, int32_t token) {
  return uniform(NoiseWords(seed, stream, position).of(token));
}

// The least word that can give noise of k or more, for each whole k, and a little below it: the
// noise of u = (word + 1/2) / 2^32 is k where u is exp(-exp(-k)).
bool may_reach(uint32_t word, double needed) {
  constexpr size_t kMostNoise = 23;  // > kMaxGumbel
  static const auto least = [] {
    std::array<uint32_t, kMostNoise> words;
    for (size_t k = 0; k < kMostNoise; ++k) {
      const double u = std::exp(-std::exp(-static_cast<double>(k)));
      words[k] = static_cast<uint32_t>(u * 0x1p32 - 2);
    }
    return words;
  }();
  if (!(needed > 0)) return true;
  return needed < kMostNoise && word >= least[static_cast<size_t>(needed)];
}

double gumbel(uint32_t word) {
  return -std::log(-std::log(uniform(word)));
}

double gumbel(uint64_t seed, Stream stream, int position, int32_t token) {
  return gumbel(NoiseWords(seed, stream, position).of(token));
}

}  // namespace orthrus
