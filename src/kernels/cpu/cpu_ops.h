// The operations on the CPU: plain loops, shaped so that the compiler vectorises them, one OpenMP
// loop an operation.
#pragma once

#include "kernels/ops.h"

namespace orthrus {

class CpuOps final : public Ops {
 public:
  // threads >= 1: how many work on an operation. The results do not depend on it.
  explicit CpuOps(int threads) : threads_(threads) {}

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

 private:
  // How many threads work on an operation of `work` multiply-adds: one alone where waking and
  // joining the others would take longer than they save.
  int team(size_t work) const { return work < kSharedWork ? 1 : threads_; }
  static constexpr size_t kSharedWork = 1 << 18;

  int threads_;
};

}  // namespace orthrus
