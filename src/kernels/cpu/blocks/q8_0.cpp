// Products with Q8_0: a byte a weight, an f16 scale for 32 columns.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/blocks/q8_0.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include "kernels/cpu/block_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

const Products& products() {
  return block_products<kLayoutQ8_0>();
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(products);

const Products& products_q8_0() {
  return HWY_DYNAMIC_DISPATCH(products)();
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
