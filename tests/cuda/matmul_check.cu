#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul.h"
#include "own_norm_check.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

// sums[m][n] = sum over k of x[m][k] w[n][k], sizes[m][n] the same of absolute values.
__global__ void reference_kernel(const Bf16* x, const Bf16* w, int tokens, int rows, int cols,
                                 double* sums, double* sizes) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at >= tokens * rows) return;
  const Bf16 *a = x + static_cast<size_t>(at / rows) * cols,
             *b = w + static_cast<size_t>(at % rows) * cols;
  double sum = 0, size = 0;
  for (int k = 0; k < cols; ++k) {
    const double product = double(__bfloat162float(a[k])) * double(__bfloat162float(b[k]));
    sum += product, size += fabs(product);
  }
  sums[at] = sum, sizes[at] = size;
}

constexpr int kTokens = 530;

struct Case {
  Case(Checks& checks, int rows, int cols, int exponents)
      : checks(checks),
        rows(rows),
        cols(cols),
        exponents(exponents),
        x(size_t{kTokens} * cols),
        w(static_cast<size_t>(rows) * cols),
        count(1),
        base(size_t{kTokens} * rows) {
    fill(x, checks.seed + 1, 1, exponents);
    fill(w, checks.seed + 2, 1, exponents);
    name = std::to_string(rows) + " x " + std::to_string(cols) +
           (exponents > 0 ? ", exponents wide" : "");
  }

  Tokens tokens(int first, int real, int bucket) const {
    CHECK_CUDA(cudaMemcpy(count.data(), &real, sizeof real, cudaMemcpyHostToDevice));
    return {x.data() + static_cast<size_t>(first) * cols, static_cast<size_t>(cols), bucket,
            count.data()};
  }
  MatrixView weights() const { return {w.data(), rows, cols}; }

  // One token at a time: what everything else is compared with.
  void make_base() {
    base.poison();
    for (int m = 0; m < kTokens; ++m) {
      CHECK_CUDA(matmul(tokens(m, 1, 1), weights(), base.data() + static_cast<size_t>(m) * rows,
                        static_cast<size_t>(rows), nullptr));
    }
  }

  void against_reference() const {
    constexpr int kCompared = 20;
    Array<double> sums(size_t{kCompared} * rows), sizes(size_t{kCompared} * rows);
    reference_kernel<<<(kCompared * rows + 255) / 256, 256>>>(x.data(), w.data(), kCompared, rows,
                                                              cols, sums.data(), sizes.data());
    CHECK_CUDA(cudaGetLastError());
    const auto sum = sums.host(), size = sizes.host();
    const auto got = base.host();
    double worst = 0;
    for (size_t i = 0; i < sum.size(); ++i) {
      const double error = std::abs(got[i] - sum[i]) / std::max(size[i], 1e-30);
      worst = error <= worst ? worst : error;  // NaN counts as worst
    }
    checks.expect(worst < 2e-5, "matmul %s: error %g of the sum of sizes", name.c_str(), worst);
  }

  void own_norm() const {
    if (cols > kMostOwnNormCols) return;
    check_own_norm(checks, weights(), name);
  }

  // Of any number of tokens, from any first one: the bits of one token alone.
  void any_number() const {
    Array<float> out(size_t{kTokens} * rows);
    const auto products = base.host();
    for (const int m : {1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 257, 512}) {
      const int first = static_cast<int>(hash(checks.seed, m) % (kTokens - 512));
      const size_t size = static_cast<size_t>(m) * rows;
      const float* const expected = base.data() + static_cast<size_t>(first) * rows;
      for (const int bucket : {m, std::min(kTokens - first, m + 5)}) {
        out.poison();
        const Tokens t = tokens(first, m, bucket);
        CHECK_CUDA(matmul(t, weights(), out.data(), static_cast<size_t>(rows), nullptr));
        const auto different = count_different<uint32_t>(out.data(), expected, size);
        checks.expect(different == 0, "matmul %s: %d tokens, %llu outputs differ", name.c_str(), m,
                      different);
        const auto host = out.host();
        const bool untouched = size == host.size() || std::isnan(host[size]);
        checks.expect(untouched, "matmul %s: wrote past %d tokens", name.c_str(), m);
      }
      for (const int real : {m, 0}) {
        for (const int bucket : {m, std::min(kTokens - first, m + 5)}) {
          check_added(first, real, bucket, products);
        }
      }
    }
  }

  // Of `real` tokens y is added, and nothing to what lies behind them.
  void check_added(int first, int real, int bucket, const std::vector<float>& products) const {
    Array<float> added(size_t{kTokens} * rows);
    fill(added, 5);
    const auto start = added.host();
    CHECK_CUDA(matmul_add(tokens(first, real, bucket), weights(), added.data(),
                          static_cast<size_t>(rows), nullptr));
    const auto got = added.host();
    const size_t size = static_cast<size_t>(real) * rows, at = static_cast<size_t>(first) * rows;
    size_t wrong = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      wrong += got[i] != (i < size ? start[i] + products[at + i] : start[i]);
    }
    checks.expect(wrong == 0, "matmul %s, added: %d tokens of %d, %zu wrong", name.c_str(), real,
                  bucket, wrong);
  }

  void swiglu() const {
    const int inter = rows / 2;
    if (rows % (2 * kGatedRows) != 0) {
      const Array<Bf16> nothing(static_cast<size_t>(rows));
      checks.expect(matmul_swiglu(tokens(0, 1, 1), weights(), nothing.data(),
                                  static_cast<size_t>(rows), nullptr) == cudaErrorInvalidValue,
                    "swiglu %s: was not refused", name.c_str());
      return;
    }
    Array<Bf16> one(size_t{kTokens} * inter);
    one.poison();
    for (int m = 0; m < kTokens; ++m) {
      CHECK_CUDA(matmul_swiglu(tokens(m, 1, 1), weights(),
                               one.data() + static_cast<size_t>(m) * inter,
                               static_cast<size_t>(inter), nullptr));
    }
    const auto got = one.host();
    const auto products = base.host();
    double worst = 0;
    for (int m = 0; m < kTokens; ++m) {
      for (int n = 0; n < inter; ++n) {
        const float* const of_token = products.data() + static_cast<size_t>(m) * rows;
        const int gate_row = n / kGatedRows * 2 * kGatedRows + n % kGatedRows;
        const double gate = of_token[gate_row], up = of_token[gate_row + kGatedRows];
        const double expected = gate / (1 + std::exp(-gate)) * up;
        const double error =
            std::abs(__bfloat162float(got[static_cast<size_t>(m) * inter + n]) - expected) /
            (std::abs(expected) + 1e-20);
        worst = error <= worst ? worst : error;
      }
    }
    checks.expect(worst < 0.0045, "swiglu %s: relative error %g", name.c_str(), worst);
    for (const int m : {1, 2, 8, 9, 16, 31, 32, 33, 64, 127, 128, 129, 257, 512}) {
      const int first = static_cast<int>(hash(checks.seed + 1, m) % (kTokens - 512));
      for (const int real : {m, 0}) {
        for (const int bucket : {m, std::min(kTokens - first, m + 5)}) {
          check_gated(first, real, bucket, one);
        }
      }
    }
  }

  // Of `real` tokens the bits of one alone, and nothing of what lies behind them.
  void check_gated(int first, int real, int bucket, const Array<Bf16>& alone) const {
    const auto inter = static_cast<size_t>(rows / 2);
    Array<Bf16> want(kTokens * inter), got(kTokens * inter);
    want.poison(), got.poison();
    CHECK_CUDA(cudaMemcpy(want.data(), alone.data() + static_cast<size_t>(first) * inter,
                          static_cast<size_t>(real) * inter * sizeof(Bf16),
                          cudaMemcpyDeviceToDevice));
    CHECK_CUDA(matmul_swiglu(tokens(first, real, bucket), weights(), got.data(), inter, nullptr));
    const auto different = count_different<uint16_t>(got.data(), want.data(), got.size());
    checks.expect(different == 0, "swiglu %s: %d tokens of %d, %llu differ", name.c_str(), real,
                  bucket, different);
  }

  // Some weight rows are doubled, so that logits tie; one token has an infinite logit.
  void top() {
    const int twins = std::min(rows / 2, 1000);
    CHECK_CUDA(cudaMemcpy(w.data() + static_cast<size_t>(rows - twins) * cols, w.data(),
                          static_cast<size_t>(twins) * cols * sizeof(Bf16),
                          cudaMemcpyDeviceToDevice));
    constexpr int kInfinite = 3;
    const Bf16 infinity = __float2bfloat16_rn(INFINITY);
    CHECK_CUDA(cudaMemcpy(x.data() + static_cast<size_t>(kInfinite) * cols, &infinity,
                          sizeof infinity, cudaMemcpyHostToDevice));
    make_base();
    const auto logits = base.host();
    Array<char> workspace(top_workspace_bytes(kTokens, weights()));
    Array<Choice> tops(kTokens);
    std::vector<Choice> before;
    for (const int m : {1, 5, 8, 16, 32, 33, 64, 128, 129, 300}) {
      tops.poison();
      CHECK_CUDA(matmul_top(tokens(0, m, m), weights(), tops.data(), workspace.data(), nullptr));
      const auto got = tops.host();
      for (int i = 0; i < m; ++i) {
        const float* const row = logits.data() + static_cast<size_t>(i) * rows;
        const auto best = std::max_element(row, row + rows);
        double sum = 0;
        for (int n = 0; n < rows; ++n) sum += std::exp(double(row[n]) - *best);
        const int id = i == kInfinite ? -1 : static_cast<int>(best - row);
        checks.expect(got[i].id == id, "top %s: token %d of %d has id %d, not %d", name.c_str(), i,
                      m, got[i].id, id);
        if (i == kInfinite) continue;
        checks.expect(got[i].logit == *best, "top %s: token %d of %d: logit", name.c_str(), i, m);
        checks.expect(std::abs(got[i].probability * sum - 1) < 1e-4,
                      "top %s: token %d of %d: probability %g, not %g", name.c_str(), i, m,
                      got[i].probability, 1 / sum);
        if (static_cast<size_t>(i) < before.size()) {
          checks.expect(got[i].probability == before[i].probability,
                        "top %s: token %d of %d: bits of probability", name.c_str(), i, m);
        }
      }
      before = got;
      before.resize(static_cast<size_t>(m));
    }
  }

  Checks& checks;
  int rows, cols, exponents;
  std::string name;
  Array<Bf16> x, w;
  Array<int> count;
  Array<float> base;
};

// The fused projection leaves the bits that the product, and then store_heads, leave.
void check_heads(Checks& checks, const Heads& heads, int cols, bool biased, bool normed) {
  constexpr int kRows = 200;
  const int dim = heads.head_dim, rows = (heads.heads + 2 * heads.kv_heads) * dim;
  const size_t page = static_cast<size_t>(heads.kv_heads) * tile_elements(dim);
  constexpr int kPages = 6;
  Case c(checks, rows, cols, 0);
  Array<Bf16> norms(size_t{2} * dim);
  Array<float2> turns(size_t{kRows} * dim / 2);
  std::vector<float> frequencies(static_cast<size_t>(dim / 2), 0.01f);
  const Array<float> inv_freq(frequencies);
  Array<float> bias(static_cast<size_t>(rows));
  fill(norms, checks.seed + 3), fill(bias, checks.seed + 4);
  const Array<int> table(std::vector<int>{3, 1, 5, 0, 2, 4});
  const Array<int> span_count(std::vector<int>{3});
  for (const int m : {1, 2, 7, 8, 16, 31, 32, 33, 64, 65, 127, 128, 129, 200}) {
    // Two chunks and a block; rows of none where there are few.
    const int a = (m + 2) / 3, b = m / 3;
    const Array<KvSpan> spans(
        std::vector<KvSpan>{{0, a, 60, 0, -1}, {a, b, 5, 3, -1}, {a + b, m - a - b, 40, 0, 0}});
    std::vector<uint16_t> results[2][3];
    for (const bool fused : {false, true}) {
      Array<Bf16> cache(kPages * page), block(4 * page), q(size_t{kRows} * heads.heads * dim);
      Array<float> qkv(size_t{kRows} * rows);
      cache.poison(), block.poison(), q.poison(), qkv.poison();
      const KvBatch batch = {spans.data(),
                             span_count.data(),
                             table.data(),
                             {cache.data(), page},
                             {block.data(), page}};
      CHECK_CUDA(rope_table(batch, inv_freq.data(), dim, turns.data(), m, nullptr));
      const HeadWeights finish = {.bias = biased ? bias.data() : nullptr,
                                  .q_norm = normed ? norms.data() : nullptr,
                                  .k_norm = normed ? norms.data() + dim : nullptr,
                                  .table = turns.data(),
                                  .eps = 1e-6f};
      const Tokens t = c.tokens(11, m, m);
      if (fused) {
        const MatrixView w = c.weights();
        CHECK_CUDA(matmul_qkv(t, {&w, 1}, heads, finish, batch, q.data(), qkv.data(), nullptr));
      } else {
        CHECK_CUDA(matmul(t, c.weights(), qkv.data(), static_cast<size_t>(rows), nullptr));
        CHECK_CUDA(store_heads(qkv.data(), heads, finish, batch, q.data(), m, nullptr));
      }
      const Array<Bf16>* const all[] = {&cache, &block, &q};
      for (int i = 0; i < 3; ++i) {
        results[fused][i].resize(all[i]->size());
        CHECK_CUDA(cudaMemcpy(results[fused][i].data(), all[i]->data(), 2 * all[i]->size(),
                              cudaMemcpyDeviceToHost));
      }
    }
    for (int i = 0; i < 3; ++i) {
      checks.expect(results[0][i] == results[1][i],
                    "matmul_qkv %d/%d/%d, bias %d, norm %d: %d tokens: part %d", heads.heads,
                    heads.kv_heads, dim, biased, normed, m, i);
    }
  }
}

}  // namespace

void check_matmul(Checks& checks) {
  // Of 8B, 1.7B and Qwen2.5's 0.5B; of the tiny models; and odd ones.
  const int shapes[][2] = {{6144, 4096}, {4096, 12288}, {4096, 2048}, {2048, 6144}, {1152, 896},
                           {896, 4864},  {384, 1152},   {512, 64},    {64, 176},    {352, 64},
                           {1000, 520},  {130, 72},     {4170, 256},  {2250, 1784}, {2, 8}};
  for (const auto& [rows, cols] : shapes) {
    if (!checks.takes(rows, cols)) continue;
    for (const int exponents : {0, 12}) {
      Case c(checks, rows, cols, exponents);
      c.make_base();
      c.against_reference();
      c.any_number();
      if (exponents == 0) c.swiglu(), c.own_norm();
    }
  }
  // gate and up: of 8B, 0.5B and small ones; and the least and the most rows that blocks of three
  // warpgroups have, the least not for one token. More tiles of K than a ring has places, and few.
  int processors = 0;
  CHECK_CUDA(count_multiprocessors(&processors));
  const int least = std::max(processors, 127) * 128 + 2 * kGatedRows;  // of fewer K is split
  const int most = processors * 192;
  const int gated_shapes[][2] = {{24576, 1024},
                                 {9728, 896},
                                 {352, 64},
                                 {2304, 384},
                                 {least, 1088},
                                 {most, 1088},
                                 {most - 2 * kGatedRows, 72}};
  for (const auto& [rows, cols] : gated_shapes) {
    if (!checks.takes(rows, cols)) continue;
    Case c(checks, rows, cols, 0);
    c.make_base();
    c.swiglu(), c.own_norm();
  }
  for (const Heads heads :
       {Heads{32, 8, 128}, {16, 8, 128}, {14, 2, 64}, {6, 2, 64}, {4, 2, 32}, {3, 1, 16}}) {
    for (const int cols : {2048, 896, 64}) {
      if (!checks.takes((heads.heads + 2 * heads.kv_heads) * heads.head_dim, cols)) continue;
      check_heads(checks, heads, cols, false, true);
      check_heads(checks, heads, cols, true, false);
    }
  }
  for (const auto& [rows, cols] : {std::pair{20001, 256}, {512, 64}, {8192, 384}}) {
    if (checks.takes(rows, cols)) Case(checks, rows, cols, 0).top();
  }
}

}  // namespace orthrus::cuda
