// Products with weights of block formats against the same products with those weights widened to
// BF16, which matmul_check compares with double: the same bits, whatever the number of tokens.
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "backends/cuda/pack_blocks.h"
#include "base/half.h"
#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/matmul.h"
#include "kernels/formats/format.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kTokens = 530;
constexpr int kCounts[] = {1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 257, 512};

// Blocks of a format with random integers and scales; with `exponents` the f16 scales are of any
// size that there is, zero, negative and subnormal ones too.
std::vector<std::byte> random_blocks(const Format& format, size_t blocks, bool exponents,
                                     std::mt19937& random) {
  const auto block = static_cast<size_t>(format.block_bytes);
  std::vector<std::byte> bytes(blocks * block);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  std::uniform_real_distribution<float> uniform(-0.001f, 0.001f);
  const auto put_half = [&](size_t at) {
    F16 half = to_f16(uniform(random));
    if (exponents) half.bits = static_cast<uint16_t>(random() % 0x7000 | (random() & 0x8000));
    std::memcpy(bytes.data() + at, &half, sizeof half);
  };
  for (size_t at = 0; at < bytes.size(); at += block) {
    if (format.type == DType::kQ6_K) {
      put_half(at + block - sizeof(F16));
      continue;
    }
    put_half(at);
    if (format.has_minimums) put_half(at + sizeof(F16));
  }
  return bytes;
}

struct BlockCase {
  BlockCase(Checks& checks, const Format& format, int rows, int cols, bool exponents)
      : checks(checks), rows(rows), cols(cols), form(*form_of(format.type)), count(1) {
    std::mt19937 random(static_cast<unsigned>(hash(checks.seed, rows * 7 + cols)));
    const size_t numbers = static_cast<size_t>(rows) * cols;
    const size_t blocks = numbers / static_cast<size_t>(format.block_columns);
    const auto bytes = random_blocks(format, blocks, exponents, random);
    std::vector<float> wide(numbers);
    format.widen(bytes.data(), blocks, wide.data());
    std::vector<uint16_t> rounded(numbers);
    for (size_t i = 0; i < numbers; ++i) rounded[i] = to_bf16(wide[i]).bits;
    w = Array<Bf16>(numbers);
    CHECK_CUDA(cudaMemcpy(w.data(), rounded.data(), numbers * 2, cudaMemcpyHostToDevice));
    packed = pack(bytes, format, rows);
    if (rows % 2 == 0) gate_up = pack(bytes, format, rows / 2);
    x = Array<Bf16>(size_t{kTokens} * cols);
    fill(x, checks.seed + 1, 1, exponents ? 12 : 0);
    name = std::string(format.name) + ' ' + std::to_string(rows) + " x " + std::to_string(cols) +
           (exponents ? ", exponents wide" : "");
  }

  // Parts of `part_rows`, each of which begins a row group.
  Array<std::byte> pack(const std::vector<std::byte>& from, const Format& format,
                        int part_rows) const {
    const int part_groups = ceil_div(part_rows, kSubtileRows), parts = rows / part_rows;
    const size_t group_bytes = packed_bytes(form, 1, cols);
    std::vector<std::byte> bytes(packed_bytes(form, round_up(parts * part_groups, 2), cols));
    for (int row = 0; row < rows; ++row) {
      const int part = row / part_rows, in_part = row % part_rows;
      const auto group = static_cast<size_t>(part * part_groups + in_part / kSubtileRows);
      pack_row(from.data() + row * bytes_of(format, static_cast<size_t>(cols)), format.type, cols,
               form, in_part % kSubtileRows, bytes.data() + group * group_bytes);
    }
    return Array<std::byte>(bytes);
  }

  Tokens tokens(int first, int real, int bucket) const {
    CHECK_CUDA(cudaMemcpy(count.data(), &real, sizeof real, cudaMemcpyHostToDevice));
    return {x.data() + static_cast<size_t>(first) * cols, static_cast<size_t>(cols), bucket,
            count.data()};
  }
  MatrixView wide() const { return {w.data(), rows, cols}; }
  MatrixView blocks(const Array<std::byte>& from) const { return {from.data(), rows, cols, form}; }

  template <typename U, typename T>
  void same(const Array<T>& got, const Array<T>& want, size_t size, const char* what, int m) const {
    const auto different = count_different<U>(got.data(), want.data(), size);
    checks.expect(different == 0, "%s, %s: %d tokens, %llu of %zu differ", name.c_str(), what, m,
                  different, size);
  }

  void run() const {
    const auto stride = static_cast<size_t>(rows), inter = static_cast<size_t>(rows / 2);
    const size_t all = size_t{kTokens} * stride;
    Array<float> want(all), got(all), alone(all);
    Array<Bf16> gated_want(size_t{kTokens} * inter), gated_got(size_t{kTokens} * inter);
    // One token at a time.
    alone.poison();
    for (int m = 0; m < kTokens; ++m) {
      CHECK_CUDA(matmul(tokens(m, 1, 1), blocks(packed),
                        alone.data() + static_cast<size_t>(m) * stride, stride, nullptr));
    }
    for (const int m : kCounts) {
      const int first = static_cast<int>(hash(checks.seed, m) % (kTokens - 512));
      const size_t size = static_cast<size_t>(m) * stride;
      for (const int bucket : {m, std::min(kTokens - first, m + 5)}) {
        const Tokens t = tokens(first, m, bucket);
        want.poison(), got.poison();
        CHECK_CUDA(matmul(t, wide(), want.data(), stride, nullptr));
        CHECK_CUDA(matmul(t, blocks(packed), got.data(), stride, nullptr));
        same<uint32_t>(got, want, all, "against BF16", m);
        const auto different = count_different<uint32_t>(
            got.data(), alone.data() + static_cast<size_t>(first) * stride, size);
        checks.expect(different == 0, "%s: %d tokens, %llu differ from one alone", name.c_str(), m,
                      different);
      }
      const Tokens t = tokens(first, m, m);
      fill(want, 5), fill(got, 5);
      CHECK_CUDA(matmul_add(t, wide(), want.data(), stride, nullptr));
      CHECK_CUDA(matmul_add(t, blocks(packed), got.data(), stride, nullptr));
      same<uint32_t>(got, want, all, "added", m);
      if (rows % 2 != 0) continue;
      gated_want.poison(), gated_got.poison();
      CHECK_CUDA(matmul_swiglu(t, wide(), gated_want.data(), inter, nullptr));
      CHECK_CUDA(matmul_swiglu(t, blocks(gate_up), gated_got.data(), inter, nullptr));
      same<uint16_t>(gated_got, gated_want, gated_got.size(), "SwiGLU", m);
    }
    top();
  }

  void top() const {
    Array<char> workspace(top_workspace_bytes(kTokens, wide()));
    Array<Choice> want(kTokens), got(kTokens);
    for (const int m : {1, 5, 16, 33, 128, 300}) {
      want.poison(), got.poison();
      const Tokens t = tokens(0, m, m);
      CHECK_CUDA(matmul_top(t, wide(), want.data(), workspace.data(), nullptr));
      CHECK_CUDA(matmul_top(t, blocks(packed), got.data(), workspace.data(), nullptr));
      const auto a = want.host(), b = got.host();
      checks.expect(std::memcmp(a.data(), b.data(), static_cast<size_t>(m) * sizeof a[0]) == 0,
                    "%s, top: %d tokens", name.c_str(), m);
    }
  }

  Checks& checks;
  int rows, cols;
  WeightForm form;
  std::string name;
  Array<Bf16> x, w;
  Array<std::byte> packed, gate_up;
  Array<int> count;
};

// The fused projection of q, k and v.
void check_heads(Checks& checks, const Format& format, const Heads& heads, int cols) {
  constexpr int kRows = 200, kPages = 6;
  const int dim = heads.head_dim, rows = (heads.heads + 2 * heads.kv_heads) * dim;
  const size_t page = static_cast<size_t>(heads.kv_heads) * tile_elements(dim);
  const BlockCase c(checks, format, rows, cols, false);
  Array<Bf16> norms(size_t{2} * dim);
  fill(norms, checks.seed + 3);
  const Array<float> inv_freq(std::vector<float>(static_cast<size_t>(dim / 2), 0.01f));
  const Array<int> table(std::vector<int>{3, 1, 5, 0, 2, 4}), span_count(std::vector<int>{1});
  Array<float2> turns(size_t{kRows} * dim / 2);
  for (const int m : {1, 7, 16, 33, 128, 200}) {
    const Array<KvSpan> spans(std::vector<KvSpan>{{0, m, 60, 0, -1}});
    std::vector<Bf16> results[2][2];
    for (const bool as_blocks : {false, true}) {
      Array<Bf16> cache(kPages * page), q(size_t{kRows} * heads.heads * dim);
      Array<float> qkv(size_t{kRows} * rows);
      cache.poison(), q.poison(), qkv.poison();
      const KvBatch batch = {
          spans.data(), span_count.data(), table.data(), {cache.data(), page}, {}};
      CHECK_CUDA(rope_table(batch, inv_freq.data(), dim, turns.data(), m, nullptr));
      const HeadWeights finish = {.bias = nullptr,
                                  .q_norm = norms.data(),
                                  .k_norm = norms.data() + dim,
                                  .table = turns.data(),
                                  .eps = 1e-6f};
      CHECK_CUDA(matmul_qkv(c.tokens(11, m, m), as_blocks ? c.blocks(c.packed) : c.wide(), heads,
                            finish, batch, q.data(), qkv.data(), nullptr));
      results[as_blocks][0] = cache.host(), results[as_blocks][1] = q.host();
    }
    for (int i = 0; i < 2; ++i) {
      checks.expect(std::memcmp(results[0][i].data(), results[1][i].data(),
                                results[0][i].size() * sizeof(Bf16)) == 0,
                    "%s, heads: %d tokens, part %d", c.name.c_str(), m, i);
    }
  }
}

}  // namespace

void check_blocks(Checks& checks) {
  // Of 8B, 1.7B and 0.5B; of the tiny models; and odd ones. Columns are whole blocks.
  const int shapes[][2] = {{6144, 4096}, {4096, 12288}, {2048, 6144}, {1152, 896},
                           {896, 4864},  {512, 64},     {1000, 544},  {352, 160},
                           {130, 96},    {65, 32},      {2, 32}};
  const int long_shapes[][2] = {{4096, 4096}, {2048, 6144}, {896, 4864}, {512, 256}, {130, 768}};
  for (const Format& format : all_formats()) {
    if (!form_of(format.type)) continue;
    const bool first_of_form = format.type == DType::kQ8_0 || format.block_columns > 32;
    for (const bool exponents : {false, true}) {
      if (format.block_columns > 32) {
        for (const auto& [rows, cols] : long_shapes) {
          BlockCase(checks, format, rows, cols, exponents).run();
        }
        continue;
      }
      for (const auto& [rows, cols] : shapes) {
        if (!first_of_form && rows * cols > 1000000) continue;
        BlockCase(checks, format, rows, cols, exponents).run();
      }
    }
    if (!first_of_form) continue;
    for (const Heads heads : {Heads{32, 8, 128}, {14, 2, 64}, {4, 2, 32}, {3, 1, 16}}) {
      check_heads(checks, format, heads, 512);
    }
  }
}

}  // namespace orthrus::cuda
