// The few operations the network needs, on plain views of memory. A backend implements them; it
// knows nothing of requests, and its callers nothing of SIMD or streams.
//
// The contract every implementation keeps (docs/exactness.md): each output row is a function of its
// own input row, the weights and, in attention, the keys and values at its visible positions. It
// depends, to the bit, on nothing else: not on how many rows there are or which place a row has
// among them, not on threads, and not on where pages lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/kv_layout.h"
#include "orthrus/dtype.h"

namespace orthrus {

// Activations: `rows` rows of `cols` floats, `stride` floats apart.
template <typename T>
struct RowsOf {
  T* data = nullptr;
  int rows = 0;
  int cols = 0;
  size_t stride = 0;

  T* row(int i) const { return data + static_cast<size_t>(i) * stride; }
  RowsOf slice(int first, int count) const { return {row(first), count, cols, stride}; }
  operator RowsOf<const T>() const { return {data, rows, cols, stride}; }
};
using Rows = RowsOf<float>;
using ConstRows = RowsOf<const float>;

// A weight matrix as it lies in the checkpoint: row-major [rows][cols], y = W x.
struct Matrix {
  const void* data = nullptr;
  DType type = DType::kF32;
  int rows = 0;
  int cols = 0;
};

// Rotary embedding of a pass: cos and sin of position * theta^(-2i/head_dim), [rows][head_dim / 2].
struct Rope {
  ConstRows cos, sin;
};

// Pages of keys and values, as one layer sees them: its tiles begin at pages[i] + offset.
struct KvPages {
  float* const* pages = nullptr;
  size_t offset = 0;
};

// The rows of one span, and the keys and values they attend to. With no block it is the AR view:
// row i stands at position p = first_position + i, its key belongs in the cache there, and it sees
// positions 0..p. With a block it is the diffusion view: row i's key belongs in the block's slot i,
// and every row sees the cache before first_position, then the whole block.
struct AttentionSpan {
  int first_row = 0;
  int rows = 0;
  int first_position = 0;
  KvPages cache{};  // page i holds positions [64 i, 64 i + 64)
  KvPages block{};  // page i holds slots [64 i, 64 i + 64)

  bool has_block() const { return block.pages != nullptr; }
};

struct FreeBuffer {
  void operator()(float* data) const;
};
using Buffer = std::unique_ptr<float[], FreeBuffer>;

class Ops {
 public:
  virtual ~Ops() = default;

  // Zeroed memory that the other operations can use. Throws std::bad_alloc.
  virtual Buffer allocate(size_t floats) const = 0;

  // out[m] = table[ids[m]]; ids are within the table.
  virtual void embed(const Matrix& table, std::span<const int32_t> ids, Rows out) const = 0;

  // out[m] = x[m] / sqrt(mean(x[m]^2) + eps) * weight. `out` may be x.
  virtual void rms_norm(ConstRows x, std::span<const float> weight, float eps, Rows out) const = 0;

  // out[m][n] = sum over k of x[m][k] w[n][k].
  virtual void matmul(ConstRows x, const Matrix& w, Rows out) const = 0;

  // The table for rows at `positions`: out.cos and out.sin of Rope. inv_freq has head_dim / 2
  // entries; the angle is the float32 product, as the official implementation computes it.
  virtual void rope_table(std::span<const int32_t> positions, std::span<const float> inv_freq,
                          Rows cos, Rows sin) const = 0;

  // Each head of each row, in place: RMSNorm over head_dim with `weight`, then the rotation of
  // halves (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin). x.cols is heads * weight.size().
  virtual void head_norm_rope(Rows x, std::span<const float> weight, float eps,
                              const Rope& rope) const = 0;

  // Stores keys and values, [rows][kv_heads * head_dim], where their spans say.
  virtual void write_kv(ConstRows k, ConstRows v, std::span<const AttentionSpan> spans,
                        const KvLayout& layout) const = 0;

  // out[m] = softmax(q[m] K^T / sqrt(head_dim)) V for each query head, over what row m's span lets
  // it see. q and out: [rows][heads * head_dim]; query head h reads key head h / (heads /
  // kv_heads).
  virtual void attention(ConstRows q, std::span<const AttentionSpan> spans, const KvLayout& layout,
                         Rows out) const = 0;

  // gate = silu(gate) * up.
  virtual void swiglu(Rows gate, ConstRows up) const = 0;

  // x += delta.
  virtual void add(Rows x, ConstRows delta) const = 0;
};

}  // namespace orthrus
