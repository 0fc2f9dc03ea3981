#include "kernels/cpu/pack.h"
#include "kernels/cpu/products.h"

namespace orthrus::cpu {
namespace {

template <typename Number>
constexpr PackedFormat numbers(OperandForm operand, const Products& (*products)()) {
  return {operand, [](int cols) { return panel_bytes_of_numbers(sizeof(Number), cols); },
          pack_numbers<Number>, products};
}

template <const BlockLayout& kLayout>
constexpr PackedFormat blocks(const Products& (*products)()) {
  return {OperandForm::kBlocks, [](int cols) { return kLayout.panel_bytes(blocks_of(cols)); },
          [](const Matrix& from, int p, void* to) { pack_blocks(from, p, kLayout, to); }, products};
}

void pack_q8_0(const Matrix& from, int p, void* to) {
  if (from.type != DType::kQ8_0) return pack_rounded(from, p, to);
  pack_blocks(from, p, kLayoutQ8_0, to);
}

constexpr PackedFormat q8_0() {
  PackedFormat format = blocks<kLayoutQ8_0>(products_q8_0);
  format.pack = pack_q8_0;
  return format;
}

constexpr PackedFormat kFormats[] = {
    // In the order of DType.
    numbers<float>(OperandForm::kFloats, products_f32),
    numbers<F16>(OperandForm::kFloats, products_f16),
    numbers<BF16>(OperandForm::kBf16, products_bf16),
    q8_0(),
    blocks<kLayoutQ4_0>(products_q4_0),
    blocks<kLayoutQ5_0>(products_q5_0),
    blocks<kLayoutQ4_K>(products_q4_k),
    blocks<kLayoutQ5_K>(products_q5_k),
    blocks<kLayoutQ6_K>(products_q6_k),
    blocks<kLayoutIQ4_NL>(products_iq4_nl),
    blocks<kLayoutIQ4_XS>(products_iq4_xs),
};

}  // namespace

const PackedFormat& packed_format(DType type) {
  return kFormats[static_cast<size_t>(type)];
}

}  // namespace orthrus::cpu
