// Products with Q4_K: halves of bytes, a scale and a minimum of six bits for 32 columns.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/blocks/q4_k.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include "kernels/cpu/block_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

const Products& products() {
  return block_products<kLayoutQ4_K>();
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(products);

const Products& products_q4_k() {
  return HWY_DYNAMIC_DISPATCH(products)();
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
