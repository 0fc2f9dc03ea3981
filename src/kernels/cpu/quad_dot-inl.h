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
using DU8 = hn::Repartition<uint8_t, DF>;
using VU8 = hn::Vec<DU8>;

// Weights of a register, four for each of its lanes, as bytes that are `offset` more than the
// weight: plain bytes below 64, or WideQuads of any bytes with an offset of 128.
//
// quad_dot(acc, w, x) = acc + the dot product of each lane's four bytes with the same four
// activations. WideQuads may be weights again, without their offset: kWideOffset is what is left of
// it.
#if HWY_TARGET == HWY_AVX3_DL

inline constexpr const char* kQuadDotName = "vpdpbusd";
struct FourQuants {
  const int8_t* at;
};
HWY_INLINE FourQuants four_quants(const int8_t* x) {
  return {x};
}

using WideQuads = VU8;
inline constexpr int kWideOffset = 128;
HWY_INLINE VU8 wide_quads(VU8 bytes) {
  return bytes;
}
HWY_INLINE VI quad_dot(VI acc, VU8 w, FourQuants x) {
  // As assembly: Highway's name for this target leaves avx512vnni out, so that a compiler takes no
  // intrinsic of it. Activations are broadcast on their way from memory, which costs nothing.
  struct [[gnu::may_alias, gnu::packed]] Four {
    int32_t quants;
  };
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(acc.raw)
      : "v"(w.raw), "m"(*reinterpret_cast<const Four*>(x.at)));
  return acc;
}

#else

using FourQuants = VI;
HWY_INLINE FourQuants four_quants(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return hn::Set(DI(), four);
}
inline constexpr int kWideOffset = 0;

#if HWY_ARCH_X86

inline constexpr const char* kQuadDotName = "vpmaddubsw";

// vpmaddubsw multiplies unsigned by signed bytes and adds two products in 16 bits, which hold
// 2 * 63 * 127; and 2 * 128 * 127, of |w| times x with the sign of w.
#if HWY_TARGET == HWY_AVX3
HWY_INLINE VI quad_dot(VI acc, VU8 w, FourQuants x) {
  const __m512i pairs = _mm512_maddubs_epi16(w.raw, x.raw);
  return VI{_mm512_add_epi32(acc.raw, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
}
struct WideQuads {
  VU8 magnitude;
  __mmask64 negative;
};
HWY_INLINE WideQuads wide_quads(VU8 bytes) {
  const __m512i v = _mm512_xor_si512(bytes.raw, _mm512_set1_epi8(-128));
  return {VU8{_mm512_abs_epi8(v)}, _mm512_movepi8_mask(v)};
}
HWY_INLINE VI quad_dot(VI acc, const WideQuads& w, FourQuants x) {
  const VI with_sign{_mm512_mask_sub_epi8(x.raw, w.negative, _mm512_setzero_si512(), x.raw)};
  return quad_dot(acc, w.magnitude, with_sign);
}
#else
struct WideQuads {
  VU8 value, magnitude;
};
#if HWY_TARGET == HWY_AVX2
HWY_INLINE VI quad_dot(VI acc, VU8 w, FourQuants x) {
  const __m256i pairs = _mm256_maddubs_epi16(w.raw, x.raw);
  return VI{_mm256_add_epi32(acc.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
}
HWY_INLINE WideQuads wide_quads(VU8 bytes) {
  const __m256i v = _mm256_xor_si256(bytes.raw, _mm256_set1_epi8(-128));
  return {VU8{v}, VU8{_mm256_abs_epi8(v)}};
}
HWY_INLINE VI quad_dot(VI acc, const WideQuads& w, FourQuants x) {
  return quad_dot(acc, w.magnitude, VI{_mm256_sign_epi8(x.raw, w.value.raw)});
}
#else
HWY_INLINE VI quad_dot(VI acc, VU8 w, FourQuants x) {
  const __m128i pairs = _mm_maddubs_epi16(w.raw, x.raw);
  return VI{_mm_add_epi32(acc.raw, _mm_madd_epi16(pairs, _mm_set1_epi16(1)))};
}
HWY_INLINE WideQuads wide_quads(VU8 bytes) {
  const __m128i v = _mm_xor_si128(bytes.raw, _mm_set1_epi8(-128));
  return {VU8{v}, VU8{_mm_abs_epi8(v)}};
}
HWY_INLINE VI quad_dot(VI acc, const WideQuads& w, FourQuants x) {
  return quad_dot(acc, w.magnitude, VI{_mm_sign_epi8(x.raw, w.value.raw)});
}
#endif
#endif

#elif HWY_ARCH_ARM_A64

inline constexpr const char* kQuadDotName = "smull";

struct WideQuads {
  int8x16_t value;
};
HWY_INLINE WideQuads wide_quads(VU8 bytes) {
  return {vreinterpretq_s8_u8(veorq_u8(bytes.raw, vdupq_n_u8(128)))};
}
HWY_INLINE VI quad_dot(VI acc, WideQuads w, FourQuants x) {
  const int8x16_t four = vreinterpretq_s8_s32(x.raw);
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w.value), vget_low_s8(four)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(w.value, four));
  return VI{vaddq_s32(acc.raw, vpaddq_s32(low, high))};
}
HWY_INLINE VI quad_dot(VI acc, VU8 w, FourQuants x) {
  return quad_dot(acc, WideQuads{vreinterpretq_s8_u8(w.raw)}, x);
}

#else
#error "quad_dot: no implementation for this architecture"
#endif
#endif  // HWY_TARGET

}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
