// Products with IQ4_NL: halves of bytes that are places in a list, an f16 scale for 32 columns.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/blocks/iq4_nl.cpp"
#include <hwy/foreach_target.h>
// The above must be first.
#include <hwy/highway.h>

#include "kernels/cpu/block_products-inl.h"

HWY_BEFORE_NAMESPACE();
namespace orthrus::cpu::HWY_NAMESPACE {
namespace {

const Products& products() {
  return block_products<kLayoutIQ4_NL>();
}

}  // namespace
}  // namespace orthrus::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace orthrus::cpu {

HWY_EXPORT(products);

const Products& products_iq4_nl() {
  return HWY_DYNAMIC_DISPATCH(products)();
}

}  // namespace orthrus::cpu
#endif  // HWY_ONCE
