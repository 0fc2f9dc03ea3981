// The operations of kernels/ops.h, plain and obviously right: one loop a formula, in double. The
// fast ones are compared with these.
#pragma once

#include "kernels/ops.h"

namespace orthrus {

class ReferenceOps final : public Ops {
 public:
  Buffer allocate(size_t floats) const override;
  void parallel(const std::function<void()>& body) const override { body(); }
  size_t workspace_floats(int, int) const override { return 0; }
  size_t attention_floats(const KvLayout&) const override { return 0; }
  size_t packed_bytes(DType type, int rows, int cols) const override;
  // Leaves the weights as they are.
  Matrix pack(const Matrix& from, DType type, void* to) const override;
  void embed(const Matrix& table, std::span<const int32_t> ids, Rows out) const override;
  void rms_norm(ConstRows x, std::span<const float> weight, float eps, Rows out) const override;
  void matmul(ConstRows x, std::span<const Product> products, float* workspace) const override;
  void matmul_add(ConstRows x, const Matrix& w, Rows out, float* workspace) const override;
  void matmul_swiglu(ConstRows x, const Matrix& gate, const Matrix& up, Rows out,
                     float* workspace) const override;
  void matmul_top(ConstRows x, const Matrix& w, bool probability, std::span<Choice> out,
                  float* workspace) const override;
  void rope_table(std::span<const int32_t> positions, std::span<const float> inv_freq, Rows cos,
                  Rows sin) const override;
  void norm_rope_store(Rows q, Rows k, ConstRows v, std::span<const float> q_weight,
                       std::span<const float> k_weight, float eps, const Rope& rope,
                       std::span<const AttentionSpan> spans, const KvLayout& layout,
                       size_t cache_offset) const override;
  void copy_slots(std::span<const SlotCopy> copies, const KvLayout& layout,
                  size_t cache_offset) const override;
  void attention(ConstRows q, std::span<const AttentionSpan> spans, const KvLayout& layout,
                 size_t cache_offset, Rows out, float* workspace) const override;
};

// The weight at (row, col), bit by bit from its storage type; of a packed matrix as kernels/cpu
// lays it out.
double weight_at(const Matrix& w, int row, int col);

// Where a tile has the key or value of a slot's dimension d; and how a number is stored there.
void* key_of(std::byte* tile, int slot, int d, const KvLayout& layout);
void* value_of(std::byte* tile, int slot, int d, const KvLayout& layout);
void put_number(void* at, DType type, float value);

}  // namespace orthrus
