#include "kernels/reference_ops.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace orthrus {
namespace {

double half_to_double(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// The key or value of `slot`, head h, dimension d.
double key_at(const KvPages& from, int slot, int h, int d, const KvLayout& layout) {
  const float* tile = from.pages[slot / kPageSize] + from.offset + layout.tile_floats() * h;
  return tile[d * kPageSize + slot % kPageSize];
}

double value_at(const KvPages& from, int slot, int h, int d, const KvLayout& layout) {
  const float* tile = from.pages[slot / kPageSize] + from.offset + layout.tile_floats() * h;
  return tile[layout.key_floats() + (slot % kPageSize) * layout.value_stride() + d];
}

}  // namespace

double weight_at(const Matrix& w, int row, int col) {
  const size_t at = static_cast<size_t>(row) * w.cols + col;
  if (w.type == DType::kF32) return static_cast<const float*>(w.data)[at];
  const uint16_t bits = static_cast<const uint16_t*>(w.data)[at];
  if (w.type == DType::kF16) return half_to_double(bits);
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
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

void ReferenceOps::matmul(ConstRows x, const Matrix& w, Rows out) const {
  for (int m = 0; m < x.rows; ++m) {
    for (int n = 0; n < w.rows; ++n) {
      double dot = 0;
      for (int k = 0; k < w.cols; ++k) dot += x.row(m)[k] * weight_at(w, n, k);
      out.row(m)[n] = static_cast<float>(dot);
    }
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

void ReferenceOps::head_norm_rope(Rows x, std::span<const float> weight, float eps,
                                  const Rope& rope) const {
  const int dim = static_cast<int>(weight.size());
  for (int m = 0; m < x.rows; ++m) {
    for (int h = 0; h < x.cols / dim; ++h) {
      const Rows head{x.row(m) + h * dim, 1, dim, 0};
      rms_norm(head, weight, eps, head);
      for (int i = 0; i < dim / 2; ++i) {
        const double a = head.data[i], b = head.data[i + dim / 2];
        const double c = rope.cos.row(m)[i], s = rope.sin.row(m)[i];
        head.data[i] = static_cast<float>(a * c - b * s);
        head.data[i + dim / 2] = static_cast<float>(b * c + a * s);
      }
    }
  }
}

void ReferenceOps::write_kv(ConstRows k, ConstRows v, std::span<const AttentionSpan> spans,
                            const KvLayout& layout) const {
  for (const AttentionSpan& span : spans) {
    for (int i = 0; i < span.rows; ++i) {
      const KvPages& to = span.has_block() ? span.block : span.cache;
      const int slot = span.has_block() ? i : span.first_position + i;
      for (int h = 0; h < layout.kv_heads; ++h) {
        float* tile = to.pages[slot / kPageSize] + to.offset + layout.tile_floats() * h;
        for (int d = 0; d < layout.head_dim; ++d) {
          const int column = h * layout.head_dim + d;
          tile[d * kPageSize + slot % kPageSize] = k.row(span.first_row + i)[column];
          tile[layout.key_floats() + (slot % kPageSize) * layout.value_stride() + d] =
              v.row(span.first_row + i)[column];
        }
      }
    }
  }
}

void ReferenceOps::attention(ConstRows q, std::span<const AttentionSpan> spans,
                             const KvLayout& layout, Rows out) const {
  const int dim = layout.head_dim;
  const int heads = q.cols / dim;
  for (const AttentionSpan& span : spans) {
    for (int i = 0; i < span.rows; ++i) {
      struct Slot {
        const KvPages* from;
        int slot;
      };
      std::vector<Slot> visible;
      const int cached = span.has_block() ? span.first_position : span.first_position + i + 1;
      for (int s = 0; s < cached; ++s) visible.push_back({&span.cache, s});
      if (span.has_block()) {
        for (int s = 0; s < span.rows; ++s) visible.push_back({&span.block, s});
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

void ReferenceOps::swiglu(Rows gate, ConstRows up) const {
  for (int m = 0; m < gate.rows; ++m) {
    for (int i = 0; i < gate.cols; ++i) {
      const double g = gate.row(m)[i];
      gate.row(m)[i] = static_cast<float>(g / (1 + std::exp(-g)) * up.row(m)[i]);
    }
  }
}

void ReferenceOps::add(Rows x, ConstRows delta) const {
  for (int m = 0; m < x.rows; ++m) {
    for (int i = 0; i < x.cols; ++i) x.row(m)[i] = x.row(m)[i] + delta.row(m)[i];
  }
}

}  // namespace orthrus
