// Dot products of two BF16, one in each 32-bit lane: vdpbf16ps where the processor has it.
//
// The instruction adds the product of the second pair, then that of the first, each as a fused
// multiply-add of float32 that takes and gives zero for subnormals. The kernels without it add in
// the same order, and the team computes with subnormals off (base/float_environment.h); so both
// give the same bits.
#if defined(ORTHRUS_KERNELS_CPU_PAIR_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ORTHRUS_KERNELS_CPU_PAIR_DOT_INL_H_
#undef ORTHRUS_KERNELS_CPU_PAIR_DOT_INL_H_
#else
#define ORTHRUS_KERNELS_CPU_PAIR_DOT_INL_H_
#endif

#include <cstring>

#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/roofline.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {

// Highway 1.0 knows no instruction set with BF16 products: AVX3_DL processors may have them or not.
#undef ORTHRUS_HAS_PAIR_DOT
#if HWY_TARGET == HWY_AVX3_DL
#define ORTHRUS_HAS_PAIR_DOT 1
HWY_INLINE bool has_pair_dot() {
  static const bool has = __builtin_cpu_supports("avx512bf16");
  return has;
}
// Whether products use it: where it does more than multiply-adds of float32 do. The bits are the
// same.
HWY_INLINE bool uses_pair_dot() {
  return has_pair_dot() && bf16_instruction_pays();
}
using Pairs = __m512i;
HWY_INLINE Pairs load_pairs(const BF16* p) {
  return _mm512_loadu_si512(p);
}
HWY_INLINE Pairs broadcast_pair(const BF16* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof(pair));
  return _mm512_set1_epi32(pair);
}
HWY_INLINE VF pair_dot(VF acc, Pairs w, Pairs x) {
  // As assembly: compilers take the intrinsic only in a function compiled for avx512bf16.
  asm("vdpbf16ps %2, %1, %0" : "+v"(acc.raw) : "v"(w), "v"(x));
  return acc;
}
#else
#define ORTHRUS_HAS_PAIR_DOT 0
HWY_INLINE bool has_pair_dot() {
  return false;
}
HWY_INLINE bool uses_pair_dot() {
  return false;
}
#endif

}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
