#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/kernels_in_use.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include <string>

#include "kernels/cpu/instruction_sets.h"
#include "kernels/cpu/pair_dot-inl.h"
#include "kernels/cpu/quad_dot-inl.h"
#include "orthrus/measure.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

std::string of_bytes() {
  return kQuadDotName;
}

std::string of_bf16() {
  return uses_pair_dot() ? "vdpbf16ps" : "float32 instructions";
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus {
namespace cpu {

HWY_EXPORT(of_bytes);
HWY_EXPORT(of_bf16);

}  // namespace cpu

std::string kernels_in_use() {
  using namespace cpu;
  return std::string(instruction_set_in_use()) + "; 8-bit products by " +
         HWY_DYNAMIC_DISPATCH(of_bytes)() + "; BF16 products by " + HWY_DYNAMIC_DISPATCH(of_bf16)();
}

}  // namespace orthrus
#endif  // HWY_ONCE
