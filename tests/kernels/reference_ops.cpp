#include "kernels/reference_ops.h"

#include "kernels/formats/format.h"

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

double weight_at(const Matrix& w, int row, int col) {
  if (w.type == DType::kQ8_0) {
    const size_t blocks = (w.cols + 31) / 32;
    const size_t group_bytes = (blocks * (16 * 32 + 16 * 2) + 63) / 64 * 64;
    const auto* group = static_cast<const uint8_t*>(w.data) + row / 16 * group_bytes;
    const int block = col / 32, quad = col % 32 / 4;
    const int weight = group[block * 512 + (quad * 16 + row % 16) * 4 + col % 4] - 128;
    const auto* scales = reinterpret_cast<const uint16_t*>(group + blocks * 512);
    return weight * half_to_double(scales[block * 16 + row % 16]);
  }
  size_t at = static_cast<size_t>(row) * w.cols + col;
  if (w.packed) {
    // Groups of 16 rows that begin at multiples of 64 bytes; in BF16 two columns side by side.
    const size_t columns = (w.cols + 1) / 2 * 2;
    const size_t bytes = format_of(w.type).block_bytes;
    const size_t group = (columns * 16 * bytes + 63) / 64 * 64 / bytes;
    const size_t in_group =
        w.type == DType::kBF16 ? (col / 2 * 16 + row % 16) * 2 + col % 2 : col * 16 + row % 16;
    at = row / 16 * group + in_group;
  }
  if (w.type == DType::kF32) return static_cast<const float*>(w.data)[at];
  const uint16_t bits = static_cast<const uint16_t*>(w.data)[at];
  if (w.type == DType::kF16) return half_to_double(bits);
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// The activations that a BF16 product sees.
static std::vector<float> rounded_to_bf16(const float* x, int cols) {
  std::vector<float> result(x, x + cols);
  for (float& value : result) {
    uint16_t half;
    put_number(&half, DType::kBF16, value);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    std::memcpy(&value, &bits, sizeof(value));
  }
  return result;
}

// The activations that a Q8_0 product sees: 32 columns share a scale.
static std::vector<float> rounded_to_q8(const float* x, int cols) {
  std::vector<float> result(x, x + cols);
  for (int first = 0; first < cols; first += 32) {
    const int end = std::min(cols, first + 32);
    float largest = 0;
    for (int k = first; k < end; ++k) largest = std::max(largest, std::abs(x[k]));
    const float scale = largest / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int k = first; k < end; ++k) result[k] = std::nearbyint(x[k] * inverse) * scale;
  }
  return result;
}

static double dot(const float* x, const Matrix& w, int row) {
  std::vector<float> operand(x, x + w.cols);
  if (w.type == DType::kBF16) operand = rounded_to_bf16(x, w.cols);
  if (w.type == DType::kQ8_0) operand = rounded_to_q8(x, w.cols);
  double sum = 0;
  for (int k = 0; k < w.cols; ++k) sum += operand[k] * weight_at(w, row, k);
  return sum;
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
    for (int m = 0; m < x.rows; ++m) {
      for (int n = 0; n < product.w->rows; ++n) {
        const double bias = product.bias == nullptr ? 0 : product.bias[n];
        product.out.row(m)[n] = static_cast<float>(dot(x.row(m), *product.w, n) + bias);
      }
    }
  }
}

void ReferenceOps::matmul_add(ConstRows x, const Matrix& w, Rows out, float*) const {
  for (int m = 0; m < x.rows; ++m) {
    for (int n = 0; n < w.rows; ++n) out.row(m)[n] += static_cast<float>(dot(x.row(m), w, n));
  }
}

void ReferenceOps::matmul_swiglu(ConstRows x, const Matrix& gate, const Matrix& up, Rows out,
                                 float*) const {
  for (int m = 0; m < x.rows; ++m) {
    for (int n = 0; n < gate.rows; ++n) {
      const double g = dot(x.row(m), gate, n);
      out.row(m)[n] = static_cast<float>(g / (1 + std::exp(-g)) * dot(x.row(m), up, n));
    }
  }
}

void ReferenceOps::matmul_top(ConstRows x, const Matrix& w, bool, std::span<Choice> out,
                              float*) const {
  for (int m = 0; m < x.rows; ++m) {
    std::vector<double> logits(w.rows);
    for (int n = 0; n < w.rows; ++n) logits[n] = dot(x.row(m), w, n);
    const auto best = std::max_element(logits.begin(), logits.end());
    double total = 0;
    for (const double logit : logits) total += std::exp(logit - *best);
    out[m] = {static_cast<int32_t>(best - logits.begin()), static_cast<float>(*best),
              static_cast<float>(1 / total)};
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

void ReferenceOps::attention(ConstRows q, std::span<const AttentionSpan> spans,
                             const KvLayout& layout, size_t cache_offset, Rows out) const {
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
