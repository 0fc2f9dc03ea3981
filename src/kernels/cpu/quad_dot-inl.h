// Dot products of four 8-bit integers, one in each 32-bit lane: what Highway 1.0 lacks, by the
// instructions of each target. All are exact.
#if defined(ORTHRUS_KERNELS_CPU_QUAD_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ORTHRUS_KERNELS_CPU_QUAD_DOT_INL_H_
#undef ORTHRUS_KERNELS_CPU_QUAD_DOT_INL_H_
#else
#define ORTHRUS_KERNELS_CPU_QUAD_DOT_INL_H_
#endif

#include <cstring>

#include "kernels/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {

using DI = hn::RebindToSigned<DF>;
using VI = hn::Vec<DI>;

// Weights of a register, four for each of its lanes, out of their form in memory, weight + 128.
// quad_dot(acc, w, x) = acc + the dot product of each lane's four weights with the same four
// activations; quad_dot_start(sum) is where acc begins, given the sum of all activations it will
// meet.
HWY_INLINE int32_t four_at(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return four;
}
using FourQuants = VI;
HWY_INLINE FourQuants broadcast_four(const int8_t* x) {
  return hn::Set(DI(), four_at(x));
}

#if HWY_TARGET == HWY_AVX3_DL

// vpdpbusd takes unsigned times signed, so 128 times the activations' sum is too much.
using Quads = __m512i;
HWY_INLINE Quads load_quads(const uint8_t* w) {
  return _mm512_loadu_si512(w);
}
HWY_INLINE VI quad_dot_start(int32_t sum) {
  return hn::Set(DI(), -128 * sum);
}
HWY_INLINE VI quad_dot(VI acc, Quads w, FourQuants x) {
  // As assembly: Highway's name for this target leaves avx512vnni out, so that a compiler takes no
  // intrinsic of it.
  asm("vpdpbusd %2, %1, %0" : "+v"(acc.raw) : "v"(w), "v"(x.raw));
  return acc;
}

#elif HWY_ARCH_X86

// vpmaddubsw adds two products in 16 bits: |w| times x with the sign of w stays within 2 * 127^2.
HWY_INLINE VI quad_dot_start(int32_t) {
  return hn::Zero(DI());
}
#if HWY_TARGET == HWY_AVX3
struct Quads {
  __m512i magnitude;
  __mmask64 negative;
};
HWY_INLINE Quads load_quads(const uint8_t* w) {
  const __m512i v = _mm512_xor_si512(_mm512_loadu_si512(w), _mm512_set1_epi8(-128));
  return {_mm512_abs_epi8(v), _mm512_movepi8_mask(v)};
}
HWY_INLINE VI quad_dot(VI acc, const Quads& w, FourQuants x) {
  const __m512i four = x.raw;
  const __m512i with_sign = _mm512_mask_sub_epi8(four, w.negative, _mm512_setzero_si512(), four);
  const __m512i pairs = _mm512_maddubs_epi16(w.magnitude, with_sign);
  return VI{_mm512_add_epi32(acc.raw, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}
#elif HWY_TARGET == HWY_AVX2
struct Quads {
  __m256i value, magnitude;
};
HWY_INLINE Quads load_quads(const uint8_t* w) {
  const __m256i v = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w)),
                                     _mm256_set1_epi8(-128));
  return {v, _mm256_abs_epi8(v)};
}
HWY_INLINE VI quad_dot(VI acc, const Quads& w, FourQuants x) {
  const __m256i with_sign = _mm256_sign_epi8(x.raw, w.value);
  const __m256i pairs = _mm256_maddubs_epi16(w.magnitude, with_sign);
  return VI{_mm256_add_epi32(acc.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}
#else
struct Quads {
  __m128i value, magnitude;
};
HWY_INLINE Quads load_quads(const uint8_t* w) {
  const __m128i v =
      _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)), _mm_set1_epi8(-128));
  return {v, _mm_abs_epi8(v)};
}
HWY_INLINE VI quad_dot(VI acc, const Quads& w, FourQuants x) {
  const __m128i with_sign = _mm_sign_epi8(x.raw, w.value);
  const __m128i pairs = _mm_maddubs_epi16(w.magnitude, with_sign);
  return VI{_mm_add_epi32(acc.raw, _mm_madd_epi16(pairs, _mm_set1_epi16(1)))};
}
#endif

#elif HWY_ARCH_ARM_A64

using Quads = int8x16_t;
HWY_INLINE Quads load_quads(const uint8_t* w) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(w), vdupq_n_u8(128)));
}
HWY_INLINE VI quad_dot_start(int32_t) {
  return hn::Zero(DI());
}
HWY_INLINE VI quad_dot(VI acc, Quads w, FourQuants x) {
  const int8x16_t four = vreinterpretq_s8_s32(x.raw);
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(four)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(w, four));
  return VI{vaddq_s32(acc.raw, vpaddq_s32(low, high))};
}

#else
#error "quad_dot: no implementation for this architecture"
#endif  // HWY_TARGET

}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
