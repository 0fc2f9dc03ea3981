// Products of one row that norm it for themselves, against the norm's kernel and the product of
// what that gives.
#pragma once

#include <cstring>
#include <string>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/device_features.h"
#include "kernels/cuda/matmul.h"

namespace orthrus::cuda {

inline void check_own_norm(Checks& checks, const MatrixView& w, const std::string& name) {
  using Bf16 = __nv_bfloat16;
  const auto cols = static_cast<size_t>(w.cols), rows = static_cast<size_t>(w.rows);
  constexpr int kRows = 3, kRow = 2;
  const Array<float> x(kRows * cols);
  const Array<Bf16> weight(cols), room(cols), own_room(cols);
  const Array<int> count(std::vector<int>{1}), row(std::vector<int>{kRow});
  Array<float> want(rows), got(rows);
  Array<Bf16> gated_want(rows / 2 + 1), gated_got(rows / 2 + 1);
  const Array<Choice> choice_want(1), choice_got(1);
  const Array<char> top_workspace(top_workspace_bytes(1, w));
  fill(weight, checks.seed + 8, 2);
  for (const int exponents : {0, 12}) {
    const int* const of_row = exponents == 0 ? row.data() : nullptr;
    fill(x, checks.seed + 9, 3, exponents);
    CHECK_CUDA(rms_norm(x.data(), of_row, weight.data(), 1e-6f, w.cols, room.data(), 1,
                        count.data(), nullptr));
    const Tokens by_kernel = {room.data(), cols, 1, count.data()};
    Tokens own;
    // Where products norm the row themselves, nothing else does. Elsewhere the kernel does, into
    // own_room: then this says only that products are given that.
    CHECK_CUDA(normed_tokens(x.data(), of_row, weight.data(), 1e-6f, w.cols,
                             has_wgmma() ? nullptr : own_room.data(), 1, count.data(), &own,
                             nullptr));
    want.poison(), got.poison(), gated_want.poison(), gated_got.poison();
    CHECK_CUDA(matmul(by_kernel, w, want.data(), rows, nullptr));
    CHECK_CUDA(matmul(own, w, got.data(), rows, nullptr));
    auto different = count_different<uint32_t>(got.data(), want.data(), rows);
    checks.expect(different == 0, "%s, own norm: %llu differ", name.c_str(), different);
    fill(want, 5), fill(got, 5);
    CHECK_CUDA(matmul_add(by_kernel, w, want.data(), rows, nullptr));
    CHECK_CUDA(matmul_add(own, w, got.data(), rows, nullptr));
    different = count_different<uint32_t>(got.data(), want.data(), rows);
    checks.expect(different == 0, "%s, own norm, added: %llu differ", name.c_str(), different);
    CHECK_CUDA(matmul_top(by_kernel, w, choice_want.data(), top_workspace.data(), nullptr));
    CHECK_CUDA(matmul_top(own, w, choice_got.data(), top_workspace.data(), nullptr));
    const Choice a = choice_want.host()[0], b = choice_got.host()[0];
    checks.expect(std::memcmp(&a, &b, sizeof a) == 0, "%s, own norm, top", name.c_str());
    if (rows % (2 * kGatedRows) != 0) continue;
    CHECK_CUDA(matmul_swiglu(by_kernel, w, gated_want.data(), rows / 2, nullptr));
    CHECK_CUDA(matmul_swiglu(own, w, gated_got.data(), rows / 2, nullptr));
    different = count_different<uint16_t>(gated_got.data(), gated_want.data(), rows / 2);
    checks.expect(different == 0, "%s, own norm, SwiGLU: %llu differ", name.c_str(), different);
  }
}

}  // namespace orthrus::cuda
