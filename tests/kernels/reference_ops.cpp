#include "kernels/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/formats/format.h"

namespace orthrus {
namespace {

double half_to_double(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// The tiles of one layer.
struct Tiles {
  std::byte* const* pages;
  size_t offset;
};

}  // namespace

void* key_of(std::byte* tile, int slot, int d, const KvLayout& layout) {
  return tile + (d * kPageSize + slot) * layout.element_bytes();
}
void* value_of(std::byte* tile, int slot, int d, const KvLayout& layout) {
  return tile + (layout.keys_of_tile() + slot * layout.value_stride() + d) * layout.element_bytes();
}

void put_number(void* at, DType type, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if (type == DType::kF32) {
    std::memcpy(at, &bits, sizeof(bits));
    return;
  }
  const auto half = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // BF16
  std::memcpy(at, &half, sizeof(half));
}

namespace {

std::byte* tile_of(const Tiles& from, int slot, int h, const KvLayout& layout) {
  return from.pages[slot / kPageSize] + from.offset + layout.tile_bytes() * h;
}

// The key or value of `slot`, head h, dimension d.
double key_at(const Tiles& from, int slot, int h, int d, const KvLayout& layout) {
  std::byte* const tile = tile_of(from, slot, h, layout);
  return weight_at({key_of(tile, slot % kPageSize, d, layout), layout.type, 1, 1}, 0, 0);
}

double value_at(const Tiles& from, int slot, int h, int d, const KvLayout& layout) {
  std::byte* const tile = tile_of(from, slot, h, layout);
  return weight_at({value_of(tile, slot % kPageSize, d, layout), layout.type, 1, 1}, 0, 0);
}

}  // namespace

namespace {

double number_of(const Matrix& w, size_t at) {
  if (w.type == DType::kF32) return static_cast<const float*>(w.data)[at];
  const uint16_t bits = static_cast<const uint16_t*>(w.data)[at];
  if (w.type == DType::kF16) return half_to_double(bits);
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// A row of a row-major matrix.
std::vector<double> row_of(const Matrix& w, int row) {
  std::vector<double> values(w.cols);
  const Format& format = format_of(w.type);
  for (int i = 0; i < w.cols && !format.stores_blocks(); ++i) {
    values[i] = number_of(w, static_cast<size_t>(row) * w.cols + i);
  }
  for (int i = 0; i < w.cols && format.stores_blocks(); i += format.block_columns) {
    const size_t block = (static_cast<size_t>(row) * w.cols + i) / format.block_columns;
    BlockParts parts;
    format.unpack(static_cast<const std::byte*>(w.data) + block * format.block_bytes, parts);
    for (int k = 0; k < format.block_columns; ++k) {
      const int g = k / format.group_columns;
      values[i + k] = half_to_double(parts.scale.bits) * parts.scales[g] * parts.quants[k] -
                      half_to_double(parts.minimum.bits) * parts.minimums[g];
    }
  }
  return values;
}

// The activations that a BF16 product sees.
void round_to_bf16(std::vector<float>& x) {
  for (float& value : x) {
    uint16_t half;
    put_number(&half, DType::kBF16, value);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    std::memcpy(&value, &bits, sizeof(value));
  }
}

// The activations that a product with a block format sees: 32 columns share a scale.
void round_to_blocks(std::vector<float>& x) {
  for (size_t first = 0; first < x.size(); first += 32) {
    const size_t end = std::min(x.size(), first + 32);
    float largest = 0;
    for (size_t k = first; k < end; ++k) largest = std::max(largest, std::abs(x[k]));
    const float scale = largest / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (size_t k = first; k < end; ++k) x[k] = std::nearbyint(x[k] * inverse) * scale;
  }
}

// W x[m], by row of W and then by m.
std::vector<std::vector<double>> products_of(ConstRows x, const Matrix& w) {
  std::vector<std::vector<float>> operands;
  for (int m = 0; m < x.rows; ++m) {
    std::vector<float>& operand = operands.emplace_back(x.row(m), x.row(m) + w.cols);
    if (w.type == DType::kBF16) round_to_bf16(operand);
    if (format_of(w.type).stores_blocks()) round_to_blocks(operand);
  }
  std::vector<std::vector<double>> products(w.rows, std::vector<double>(x.rows));
  for (int n = 0; n < w.rows; ++n) {
    const std::vector<double> weights = row_of(w, n);
    for (int m = 0; m < x.rows; ++m) {
      for (int k = 0; k < w.cols; ++k) products[n][m] += operands[m][k] * weights[k];
    }
  }
  return products;
}

}  // namespace

double weight_at(const Matrix& w, int row, int col) {
  return row_of(w, row)[col];
}

size_t ReferenceOps::packed_bytes(DType type, int rows, int cols) const {
  return bytes_of(format_of(type), static_cast<size_t>(rows) * cols);
}

Matrix ReferenceOps::pack(const Matrix& from, DType, void*) const {
  return from;
}

Buffer ReferenceOps::allocate(size_t floats) const {
  return Buffer(static_cast<float*>(std::calloc(floats, sizeof(float))));
}

void ReferenceOps::embed(const Matrix& table, std::span<const int32_t> ids, Rows out) const {
  for (int m = 0; m < out.rows; ++m) {
    for (int i = 0; i < out.cols; ++i) {
      out.row(m)[i] = static_cast<float>(weight_at(table, ids[m], i));
    }
  }
}

void ReferenceOps::rms_norm(ConstRows x, std::span<const float> weight, float eps, Rows out) const {
  for (int m = 0; m < x.rows; ++m) {
    double squares = 0;
    for (int i = 0; i < x.cols; ++i) squares += double(x.row(m)[i]) * x.row(m)[i];
    const double scale = 1 / std::sqrt(squares / x.cols + eps);
    for (int i = 0; i < x.cols; ++i) {
      out.row(m)[i] = static_cast<float>(x.row(m)[i] * scale * weight[i]);
    }
  }
}

void ReferenceOps::matmul(ConstRows x, std::span<const Product> products, float*) const {
  for (const Product& product : products) {
    const auto sums = products_of(x, *product.w);
    for (int m = 0; m < x.rows; ++m) {
      for (int n = 0; n < product.w->rows; ++n) {
        const double bias = product.bias == nullptr ? 0 : product.bias[n];
        product.out.row(m)[n] = static_cast<float>(sums[n][m] + bias);
      }
    }
  }
}

void ReferenceOps::matmul_add(ConstRows x, const Matrix& w, Rows out, float*) const {
  const auto sums = products_of(x, w);
  for (int m = 0; m < x.rows; ++m) {
    for (int n = 0; n < w.rows; ++n) out.row(m)[n] += static_cast<float>(sums[n][m]);
  }
}

void ReferenceOps::matmul_swiglu(ConstRows x, const Matrix& gate, const Matrix& up, Rows out,
                                 float*) const {
  const auto gates = products_of(x, gate), ups = products_of(x, up);
  for (int m = 0; m < x.rows; ++m) {
    for (int n = 0; n < gate.rows; ++n) {
      const double g = gates[n][m];
      out.row(m)[n] = static_cast<float>(g / (1 + std::exp(-g)) * ups[n][m]);
    }
  }
}

void ReferenceOps::matmul_top(ConstRows x, const Matrix& w, bool, std::span<Choice> out,
                              float*) const {
  const auto sums = products_of(x, w);
  for (int m = 0; m < x.rows; ++m) {
    int best = 0;
    for (int n = 1; n < w.rows; ++n) {
      if (sums[n][m] > sums[best][m]) best = n;
    }
    double total = 0;
    for (int n = 0; n < w.rows; ++n) total += std::exp(sums[n][m] - sums[best][m]);
    out[m] = {best, static_cast<float>(sums[best][m]), static_cast<float>(1 / total)};
  }
}

void ReferenceOps::rope_table(std::span<const int32_t> positions, std::span<const float> inv_freq,
                              Rows cos, Rows sin) const {
  for (int m = 0; m < cos.rows; ++m) {
    for (size_t i = 0; i < inv_freq.size(); ++i) {
      const double angle = static_cast<double>(static_cast<float>(positions[m]) * inv_freq[i]);
      cos.row(m)[i] = static_cast<float>(std::cos(angle));
      sin.row(m)[i] = static_cast<float>(std::sin(angle));
    }
  }
}

void ReferenceOps::norm_rope_store(Rows q, Rows k, ConstRows v, std::span<const float> q_weight,
                                   std::span<const float> k_weight, float eps, const Rope& rope,
                                   std::span<const AttentionSpan> spans, const KvLayout& layout,
                                   size_t cache_offset) const {
  const int dim = layout.head_dim;
  const auto norm_rope = [&](const Rows& x, std::span<const float> weight) {
    for (int m = 0; m < x.rows; ++m) {
      for (int h = 0; h < x.cols / dim; ++h) {
        const Rows head{x.row(m) + h * dim, 1, dim, 0};
        if (!weight.empty()) rms_norm(head, weight, eps, head);
        for (int i = 0; i < dim / 2; ++i) {
          const double a = head.data[i], b = head.data[i + dim / 2];
          const double c = rope.cos.row(m)[i], s = rope.sin.row(m)[i];
          head.data[i] = static_cast<float>(a * c - b * s);
          head.data[i + dim / 2] = static_cast<float>(b * c + a * s);
        }
      }
    }
  };
  norm_rope(q, q_weight);
  norm_rope(k, k_weight);
  for (const AttentionSpan& span : spans) {
    const Tiles to = span.has_block() ? Tiles{span.block, 0} : Tiles{span.cache, cache_offset};
    for (int i = 0; i < span.rows; ++i) {
      const int slot = span.has_block() ? i : span.first_position + i;
      for (int h = 0; h < layout.kv_heads; ++h) {
        std::byte* const tile = tile_of(to, slot, h, layout);
        for (int d = 0; d < dim; ++d) {
          const int column = h * dim + d;
          put_number(key_of(tile, slot % kPageSize, d, layout), layout.type,
                     k.row(span.first_row + i)[column]);
          put_number(value_of(tile, slot % kPageSize, d, layout), layout.type,
                     v.row(span.first_row + i)[column]);
        }
      }
    }
  }
}

void ReferenceOps::copy_slots(std::span<const SlotCopy> copies, const KvLayout& layout,
                              size_t cache_offset) const {
  for (const SlotCopy& copy : copies) {
    auto* const from = const_cast<std::byte*>(copy.from);
    const Tiles tiles_from{&from, cache_offset}, tiles_to{&copy.to, cache_offset};
    for (int slot = copy.begin; slot < copy.end; ++slot) {
      for (int h = 0; h < layout.kv_heads; ++h) {
        std::byte* const to = tile_of(tiles_to, slot, h, layout);
        for (int d = 0; d < layout.head_dim; ++d) {
          put_number(key_of(to, slot, d, layout), layout.type,
                     static_cast<float>(key_at(tiles_from, slot, h, d, layout)));
          put_number(value_of(to, slot, d, layout), layout.type,
                     static_cast<float>(value_at(tiles_from, slot, h, d, layout)));
        }
      }
    }
  }
}

void ReferenceOps::attention(ConstRows q, std::span<const AttentionSpan> spans,
                             const KvLayout& layout, size_t cache_offset, Rows out, float*) const {
  const int dim = layout.head_dim;
  const int heads = q.cols / dim;
  for (const AttentionSpan& span : spans) {
    for (int i = 0; i < span.rows; ++i) {
      const Tiles cache{span.cache, cache_offset}, block{span.block, 0};
      struct Slot {
        const Tiles* from;
        int slot;
      };
      std::vector<Slot> visible;
      const int cached = span.has_block() ? span.first_position : span.first_position + i + 1;
      for (int s = 0; s < cached; ++s) visible.push_back({&cache, s});
      if (span.has_block()) {
        for (int s = 0; s < span.rows; ++s) visible.push_back({&block, s});
      }
      for (int h = 0; h < heads; ++h) {
        const int kv_head = h / (heads / layout.kv_heads);
        const float* query = q.row(span.first_row + i) + h * dim;
        double total = 0;
        std::vector<double> sum(dim, 0.0);
        for (const Slot& s : visible) {
          double score = 0;
          for (int d = 0; d < dim; ++d)
            score += query[d] * key_at(*s.from, s.slot, kv_head, d, layout);
          const double weight = std::exp(score / std::sqrt(dim));
          total += weight;
          for (int d = 0; d < dim; ++d)
            sum[d] += weight * value_at(*s.from, s.slot, kv_head, d, layout);
        }
        for (int d = 0; d < dim; ++d) {
          out.row(span.first_row + i)[h * dim + d] = static_cast<float>(sum[d] / total);
        }
      }
    }
  }
}

}  // namespace orthrus
