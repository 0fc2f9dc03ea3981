#include <algorithm>
#include <cmath>
#include <numeric>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/rows.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

double number(float v) {
  return v;
}
double number(Bf16 v) {
  return __bfloat162float(v);
}

// Whether `got` is `expected` rounded to bf16, with some room for the rounding before it.
bool near_bf16(Bf16 got, double expected, double size) {
  return std::abs(number(got) - expected) <= std::abs(expected) * 0.0041 + size * 1e-5;
}

void check_embed(Checks& checks) {
  constexpr int kVocabulary = 1000, kRows = 37;
  for (const int cols : {8, 64, 2048, 4096}) {
    Array<Bf16> table(size_t{kVocabulary} * cols);
    fill(table, checks.seed + 1);
    std::vector<int32_t> ids(kRows);
    for (int m = 0; m < kRows; ++m) ids[m] = static_cast<int>(hash(checks.seed, m) % kVocabulary);
    const Array<int32_t> device_ids(ids);
    const Array<int> count(std::vector<int>{kRows - 2});
    Array<float> out(size_t{kRows} * cols);
    out.poison();
    CHECK_CUDA(
        embed(table.data(), device_ids.data(), cols, out.data(), kRows, count.data(), nullptr));
    const auto host = table.host();
    const auto got = out.host();
    size_t wrong = 0;
    for (int m = 0; m < kRows; ++m) {
      for (int i = 0; i < cols; ++i) {
        const float y = got[static_cast<size_t>(m) * cols + i];
        const double expected = number(host[static_cast<size_t>(ids[m]) * cols + i]);
        wrong += m < kRows - 2 ? y != expected : !std::isnan(y);
      }
    }
    checks.expect(wrong == 0, "embed %d: %zu wrong", cols, wrong);
  }
}

void check_rms_norm(Checks& checks) {
  constexpr int kRows = 133;
  for (const int cols : {4, 64, 384, 1000, 2048, 4096, 8192}) {
    Array<float> x(size_t{kRows} * cols);
    Array<Bf16> weight(static_cast<size_t>(cols)), out(size_t{kRows} * cols),
        gathered(size_t{kRows} * cols);
    fill(x, checks.seed + 3, 3, 4);
    fill(weight, checks.seed + 4);
    const Array<int> count(std::vector<int>{kRows - 1});
    std::vector<int> rows(kRows);
    for (int m = 0; m < kRows; ++m) rows[m] = static_cast<int>(hash(checks.seed, m) % (kRows - 1));
    const Array<int> device_rows(rows);
    out.poison();
    CHECK_CUDA(rms_norm(x.data(), nullptr, weight.data(), 1e-6f, cols, out.data(), kRows,
                        count.data(), nullptr));
    CHECK_CUDA(rms_norm(x.data(), device_rows.data(), weight.data(), 1e-6f, cols, gathered.data(),
                        kRows, count.data(), nullptr));
    const auto from = x.host();
    const auto w = weight.host(), got = out.host(), picked = gathered.host();
    size_t wrong = 0;
    for (int m = 0; m < kRows - 1; ++m) {
      const size_t at = static_cast<size_t>(m) * cols;
      double squares = 0;
      for (int i = 0; i < cols; ++i) squares += number(from[at + i]) * from[at + i];
      const double scale = 1 / std::sqrt(squares / cols + 1e-6);
      for (int i = 0; i < cols; ++i) {
        const double expected = from[at + i] * scale * number(w[i]);
        wrong += !near_bf16(got[at + i], expected, 0);
        wrong += number(picked[at + i]) != number(got[static_cast<size_t>(rows[m]) * cols + i]);
      }
    }
    wrong += !std::isnan(number(got.back()));
    checks.expect(wrong == 0, "rms_norm %d: %zu wrong", cols, wrong);
  }
}

void check_store_heads(Checks& checks, const Heads& heads, bool biased, bool normed) {
  const int dim = heads.head_dim, all = heads.heads + 2 * heads.kv_heads;
  // A chunk that crosses pages, a block, a row of no span, and another sequence.
  const std::vector<KvSpan> spans = {
      {0, 100, 30, 0, -1}, {100, 70, 77, 4, 1}, {171, 1, 4095, 0, -1}};
  constexpr int kRows = 172, kPages = 80, kBlockPages = 4;
  std::vector<int> table(70);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int>((i * 7 + 3) % kPages);
  const size_t stride = static_cast<size_t>(heads.kv_heads) * tile_elements(dim);
  Array<Bf16> cache(kPages * stride), block(kBlockPages * stride),
      q(size_t{kRows} * heads.heads * dim);
  Array<float> qkv(size_t{kRows} * all * dim);
  Array<float> bias(static_cast<size_t>(all) * dim);
  Array<Bf16> q_norm(static_cast<size_t>(dim)), k_norm(static_cast<size_t>(dim));
  fill(bias, checks.seed + 8);
  fill(qkv, checks.seed + 5, 2), fill(q_norm, checks.seed + 6), fill(k_norm, checks.seed + 7);
  std::vector<float> frequencies(static_cast<size_t>(dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = static_cast<float>(std::pow(1e6, -2.0 * static_cast<double>(i) / dim));
  }
  const Array<KvSpan> device_spans(spans);
  const Array<int> span_count(std::vector<int>{3}), device_table(table);
  const Array<float> inv_freq(frequencies);
  cache.poison(), block.poison(), q.poison();
  const KvBatch batch = {device_spans.data(),
                         span_count.data(),
                         device_table.data(),
                         {cache.data(), stride},
                         {block.data(), stride}};
  Array<float2> turns(static_cast<size_t>(kRows) * dim / 2);
  turns.poison();
  CHECK_CUDA(rope_table(batch, inv_freq.data(), dim, turns.data(), kRows, nullptr));
  const HeadWeights weights = {.bias = biased ? bias.data() : nullptr,
                               .q_norm = normed ? q_norm.data() : nullptr,
                               .k_norm = normed ? k_norm.data() : nullptr,
                               .table = turns.data(),
                               .eps = 1e-6f};
  CHECK_CUDA(store_heads(qkv.data(), heads, weights, batch, q.data(), kRows, nullptr));
  const auto from = qkv.host(), added = bias.host();
  const auto qn = q_norm.host(), kn = k_norm.host(), got_q = q.host(), got_cache = cache.host(),
             got_block = block.host();
  size_t wrong = 0, written = 0;
  for (const KvSpan& span : spans) {
    for (int i = 0; i < span.rows; ++i) {
      const int row = span.first_row + i, position = span.first_position + i;
      for (int h = 0; h < all; ++h) {
        std::vector<double> x(static_cast<size_t>(dim));
        for (int d = 0; d < dim; ++d) {
          x[d] = from[(static_cast<size_t>(row) * all + h) * dim + d];
          if (biased) x[d] += added[static_cast<size_t>(h) * dim + d];
        }
        const bool is_q = h < heads.heads, is_v = h >= heads.heads + heads.kv_heads;
        double squares = 0;
        for (int d = 0; d < dim; ++d) squares += x[d] * x[d];
        const double scale = 1 / std::sqrt(squares / dim + 1e-6);
        for (int d = 0; d < dim; ++d) {
          double expected = x[d];
          if (!is_v) {
            const auto& norm = is_q ? qn : kn;
            const int pair = d % (dim / 2);
            const double angle = static_cast<float>(position) * frequencies[pair];
            const auto factor = [&](int i) { return normed ? scale * number(norm[i]) : 1; };
            const double a = x[pair] * factor(pair), b = x[pair + dim / 2] * factor(pair + dim / 2);
            expected = d < dim / 2 ? a * std::cos(angle) - b * std::sin(angle)
                                   : b * std::cos(angle) + a * std::sin(angle);
          }
          Bf16 got;
          if (is_q) {
            got = got_q[(static_cast<size_t>(row) * heads.heads + h) * dim + d];
          } else {
            const int slot = span.has_block() ? i : position;
            const int page = span.has_block() ? span.first_block_page + slot / 64
                                              : table[span.first_page + slot / 64];
            const int kv_head = h - heads.heads - (is_v ? heads.kv_heads : 0);
            got = (span.has_block()
                       ? got_block
                       : got_cache)[page * stride +
                                    static_cast<size_t>(kv_head) * tile_elements(dim) +
                                    (is_v ? 64 * dim : 0) + tile_offset(slot % 64, d, dim)];
            ++written;
          }
          wrong += !near_bf16(got, expected, 4);
        }
      }
    }
  }
  const auto is_number = [](Bf16 v) { return !std::isnan(number(v)); };
  const auto stored = std::count_if(got_cache.begin(), got_cache.end(), is_number) +
                      std::count_if(got_block.begin(), got_block.end(), is_number);
  checks.expect(wrong == 0, "store_heads, head_dim %d, bias %d, norm %d: %zu wrong", dim, biased,
                normed, wrong);
  checks.expect(static_cast<size_t>(stored) == written,
                "store_heads, head_dim %d: %zu stored, not %zu", dim, static_cast<size_t>(stored),
                written);
}

}  // namespace

void check_rows(Checks& checks) {
  check_embed(checks);
  check_rms_norm(checks);
  for (const Heads heads :
       {Heads{32, 8, 128}, {16, 8, 128}, {14, 2, 64}, {6, 2, 64}, {4, 2, 32}, {3, 1, 16}}) {
    check_store_heads(checks, heads, false, true);
    check_store_heads(checks, heads, true, false);
    check_store_heads(checks, heads, true, true);
  }
}

}  // namespace orthrus::cuda
