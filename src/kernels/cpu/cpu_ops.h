// The operations on the CPU: a crew of threads shares out blocks of work, kernels for the
// instruction set at hand (matmul.h, attention.h, rows.h) do them.
#pragma once

#include "kernels/cpu/crew.h"
#include "kernels/ops.h"

namespace orthrus {

// Whether pack() takes weights of `from` into those of `to`: any into numbers of their own and into
// Q8_0, and each block format into itself.
bool can_pack(DType from, DType to);

class CpuOps final : public Ops {
 public:
  // threads >= 1: the size of parallel()'s team. The results do not depend on it.
  explicit CpuOps(int threads) : crews_(threads) {}

  const cpu::Crews& crews() const { return crews_; }

  Buffer allocate(size_t floats) const override;
  void parallel(const std::function<void()>& body) const override;
  size_t workspace_floats(int rows, int cols) const override;
  size_t attention_floats(const KvLayout& layout) const override;
  size_t packed_bytes(DType type, int rows, int cols) const override;
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

 private:
  size_t threads() const { return static_cast<size_t>(crews_.size()); }
  size_t operand_floats(int rows, int cols) const;

  cpu::Crews crews_;
};

}  // namespace orthrus
