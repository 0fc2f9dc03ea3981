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
#include <functional>
#include <memory>
#include <span>

#include "kernels/choice.h"
#include "kernels/kv_layout.h"
#include "orthrus/dtype.h"

namespace orthrus {

class Encoding;

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

// A weight matrix, y = W x. As the checkpoint has it, row-major [rows][cols], in one piece or
// encoded (MatrixRows reads both); or packed, as the backend's pack() left it, which is what
// products take.
struct Matrix {
  const void* data = nullptr;  // null where it is encoded
  DType type = DType::kF32;
  int rows = 0;
  int cols = 0;
  bool packed = false;
  const Encoding* encoding = nullptr;  // null where it lies in one piece
};

// A matrix and where its product goes.
struct Product {
  const Matrix* w = nullptr;
  Rows out;
  const float* bias = nullptr;  // one for each row of the matrix; none where it is null
};

// Rotary embedding of a pass: cos and sin of position * theta^(-2i/head_dim), [rows][head_dim / 2].
struct Rope {
  ConstRows cos, sin;
};

// The rows of one span, and the keys and values they attend to. With no block it is the AR view:
// row i stands at position p = first_position + i, its key belongs in the cache there, and it sees
// positions 0..p. With a block it is the diffusion view: row i's key belongs in the block's slot i,
// and every row sees the cache before first_position, then the whole block.
struct AttentionSpan {
  int first_row = 0;
  int rows = 0;
  int first_position = 0;
  std::byte* const* cache = nullptr;  // page i holds positions [64 i, 64 i + 64) of all layers
  std::byte* const* block = nullptr;  // page i holds slots [64 i, 64 i + 64), of the current layer

  bool has_block() const { return block != nullptr; }
};

// Slots [begin, end) of a page of the cache that another page gets, too.
struct SlotCopy {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  int begin = 0, end = 0;
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

  // Runs `body` on every thread of a team. All of them call the same operations in the same order
  // with the same arguments; the operations share out their work and wait for each other where one
  // needs what another wrote. Outside of parallel() an operation runs on the calling thread alone.
  // What `body` throws comes out, if none of these operations is left to do then. Throws
  // Error(kSystem) where there are no threads to be had, std::bad_alloc. Any number of threads may
  // call it at once.
  virtual void parallel(const std::function<void()>& body) const = 0;

  // Memory that the products of one pass work in: `workspace` below. Of passes of at most `rows`
  // rows with matrices of at most `cols` columns.
  virtual size_t workspace_floats(int rows, int cols) const = 0;

  // The same of attention().
  virtual size_t attention_floats(const KvLayout& layout) const = 0;

  // Bytes of a packed matrix of this type, and the packing of row-major weights into it, where `to`
  // has those bytes, aligned to 64. Rounds to the nearest; what is too large for F16 becomes
  // infinite. Throws as parallel() does.
  virtual size_t packed_bytes(DType type, int rows, int cols) const = 0;
  virtual Matrix pack(const Matrix& from, DType type, void* to) const = 0;

  // out[m] = table[ids[m]]; ids are within the table, which is row-major.
  virtual void embed(const Matrix& table, std::span<const int32_t> ids, Rows out) const = 0;

  // out[m] = x[m] / sqrt(mean(x[m]^2) + eps) * weight. `out` may be x.
  virtual void rms_norm(ConstRows x, std::span<const float> weight, float eps, Rows out) const = 0;

  // out[m][n] = sum over k of x[m][k] w[n][k], for every product; and bias[n] added to the sum.
  virtual void matmul(ConstRows x, std::span<const Product> products, float* workspace) const = 0;

  // out[m] += W x[m].
  virtual void matmul_add(ConstRows x, const Matrix& w, Rows out, float* workspace) const = 0;

  // out[m] = silu(gate x[m]) * (up x[m]), element by element.
  virtual void matmul_swiglu(ConstRows x, const Matrix& gate, const Matrix& up, Rows out,
                             float* workspace) const = 0;

  // The largest of W x[m], without storing the product. Probabilities where `probability`.
  virtual void matmul_top(ConstRows x, const Matrix& w, bool probability, std::span<Choice> out,
                          float* workspace) const = 0;

  // The table for rows at `positions`: out.cos and out.sin of Rope. inv_freq has head_dim / 2
  // entries; the angle is the float32 product, as the official implementation computes it.
  virtual void rope_table(std::span<const int32_t> positions, std::span<const float> inv_freq,
                          Rows cos, Rows sin) const = 0;

  // Each head of each row of q and k, in place: RMSNorm over head_dim with its weight, unless that
  // is empty; then the rotation of halves (x1, x2) -> (x1 cos - x2 sin, x2 cos + x1 sin). Then
  // stores keys and values, [rows][kv_heads * head_dim], where their spans say. `cache_offset`:
  // bytes from the start of a cache page to the layer's tiles.
  virtual void norm_rope_store(Rows q, Rows k, ConstRows v, std::span<const float> q_weight,
                               std::span<const float> k_weight, float eps, const Rope& rope,
                               std::span<const AttentionSpan> spans, const KvLayout& layout,
                               size_t cache_offset) const = 0;

  // Copies keys and values, a layer's, bit for bit. None is read from where another one writes.
  virtual void copy_slots(std::span<const SlotCopy> copies, const KvLayout& layout,
                          size_t cache_offset) const = 0;

  // out[m] = softmax(q[m] K^T / sqrt(head_dim)) V for each query head, over what row m's span lets
  // it see. q and out: [rows][heads * head_dim]; query head h reads key head h / (heads /
  // kv_heads).
  virtual void attention(ConstRows q, std::span<const AttentionSpan> spans, const KvLayout& layout,
                         size_t cache_offset, Rows out, float* workspace) const = 0;
};

}  // namespace orthrus
