// The operations of kernels/ops.h, plain and obviously right: one loop a formula, in double. The
// fast ones are compared with these.
#pragma once

#include "kernels/ops.h"

namespace orthrus {

class ReferenceOps final : public Ops {
 public:
  Buffer allocate(size_t floats) const override;
  void embed(const Matrix& table, std::span<const int32_t> ids, Rows out) const override;
  void rms_norm(ConstRows x, std::span<const float> weight, float eps, Rows out) const override;
  void matmul(ConstRows x, const Matrix& w, Rows out) const override;
  void rope_table(std::span<const int32_t> positions, std::span<const float> inv_freq, Rows cos,
                  Rows sin) const override;
  void head_norm_rope(Rows x, std::span<const float> weight, float eps,
                      const Rope& rope) const override;
  void write_kv(ConstRows k, ConstRows v, std::span<const AttentionSpan> spans,
                const KvLayout& layout) const override;
  void attention(ConstRows q, std::span<const AttentionSpan> spans, const KvLayout& layout,
                 Rows out) const override;
  void swiglu(Rows gate, ConstRows up) const override;
  void add(Rows x, ConstRows delta) const override;
};

// The weight at (row, col), bit by bit from its storage type.
double weight_at(const Matrix& w, int row, int col);

}  // namespace orthrus
