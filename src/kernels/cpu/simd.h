// Eight floats side by side, in the vector types that GCC and clang share: the compiler maps them
// to whatever registers the target has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__FMA__)
#include <immintrin.h>
#endif

namespace orthrus::cpu {

inline constexpr int kLanes = 8;

typedef float Float8 __attribute__((vector_size(32)));
typedef uint32_t UInt8x32 __attribute__((vector_size(32)));
typedef uint16_t UInt8x16 __attribute__((vector_size(16)));

inline Float8 load(const float* p) {
  Float8 v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

inline void store(float* p, Float8 v) {
  std::memcpy(p, &v, sizeof(v));
}

inline Float8 broadcast(float x) {
  return Float8{x, x, x, x, x, x, x, x};
}

// acc + a * b, with one rounding where the target has a fused multiply-add. Said outright: left to
// the compiler, the same loop may be fused with four accumulators and not with one.
inline Float8 madd(Float8 acc, Float8 a, Float8 b) {
#if defined(__FMA__)
  return _mm256_fmadd_ps(a, b, acc);
#else
  return acc + a * b;
#endif
}

// The sum of the lanes, always as the same tree.
inline float sum(Float8 v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// Weights of each storage type, as floats. All conversions are exact.
inline Float8 load_weights(const float* p) {
  return load(p);
}

struct BF16 {
  uint16_t bits;
};

inline Float8 load_weights(const BF16* p) {  // the upper half of a float's bits
  UInt8x16 v;
  std::memcpy(&v, p, sizeof(v));
  return reinterpret_cast<Float8>(__builtin_convertvector(v, UInt8x32) << 16);
}

struct F16 {
  uint16_t bits;
};

// Shifting a half's exponent and mantissa into a float's places leaves it 2^-112 times too small,
// subnormals included. Infinity and NaN would come out wrong; checkpoints with them are refused.
inline Float8 load_weights(const F16* p) {
  UInt8x16 v;
  std::memcpy(&v, p, sizeof(v));
  const UInt8x32 wide = __builtin_convertvector(v, UInt8x32);
  const Float8 magnitude = reinterpret_cast<Float8>((wide & 0x7fff) << 13) * 0x1p112f;
  return reinterpret_cast<Float8>(reinterpret_cast<UInt8x32>(magnitude) | ((wide & 0x8000) << 16));
}

}  // namespace orthrus::cpu
