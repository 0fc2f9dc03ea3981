// Noise without a state: a random number for each (seed, stream, position, token), computed on its
// own, so that which tokens were drafted, or rejected, before cannot move it.
#pragma once

#include <array>
#include <cstdint>

namespace orthrus {

// Philox4x32 with 10 rounds: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// What a random number is for; streams are independent of each other.
enum class Stream : uint32_t {
  kSelect = 0,  // selecting the AR view's token, and coupled drafts
  kDraft = 1,   // drawing a draft for the rejection rule
  kAccept = 2,  // accepting it
};

// Uniform on (0, 1): the centres of 2^32 equal cells.
double uniform(uint64_t seed, Stream stream, int position, int32_t token);

// Standard Gumbel, -log(-log(u)) of that u. Never above kMaxGumbel.
double gumbel(uint64_t seed, Stream stream, int position, int32_t token);
inline constexpr double kMaxGumbel = 22.9;  // -log(-log(1 - 2^-33)) is 22.87

// The noise of many tokens of a position: fastest in the order of their ids, since one block of
// random words serves four neighbours.
class NoiseWords {
 public:
  NoiseWords(uint64_t seed, Stream stream, int position)
      : seed_(seed), stream_(stream), position_(position) {}

  // Of a token; the larger, the larger its noise, which is gumbel(word).
  uint32_t of(int32_t token);

 private:
  uint64_t seed_;
  Stream stream_;
  int position_;
  int64_t number_ = -1;  // of the block
  std::array<uint32_t, 4> block_{};
};
double gumbel(uint32_t word);

// Whether the noise of this word may be `needed` or more. Never wrong where it says no, which it
// mostly does without a logarithm.
bool may_reach(uint32_t word, double needed);

}  // namespace orthrus
