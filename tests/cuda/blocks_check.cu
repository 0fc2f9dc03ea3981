// Products with weights of block formats against the same products with those weights, their scales
// being BF16, widened to BF16, which matmul_check compares with double: the same bits, whatever the
// number of tokens.
#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backends/cuda/pack_blocks.h"
#include "base/half.h"
#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/matmul.h"
#include "kernels/formats/format.h"
#include "own_norm_check.h"
#include "support/bf16_scales.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kTokens = 530;
constexpr Heads kHeads[] = {{32, 8, 128}, {14, 2, 64}, {4, 2, 32}, {3, 1, 16}};
constexpr int kCounts[] = {1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129, 257, 512};

// Blocks of a format with random integers and scales; with `exponents` the f16 scales are of any
// size below 2^13, zero, negative and subnormal ones too.
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

// Numbers that kQ8 has just as they are: integers up to 127, one of each 32 that large, times a
// BF16 scale.
std::vector<std::byte> random_numbers(size_t count, bool exponents, std::mt19937& random) {
  std::vector<std::byte> bytes(count * sizeof(float));
  std::uniform_real_distribution<float> uniform(1e-5f, 0.0001f);
  for (size_t i = 0; i < count; i += 32) {
    const int exponent = exponents ? static_cast<int>(random() % 30) - 8 : 0;
    const float scale = to_float(to_bf16(std::ldexp(uniform(random), exponent)));
    const size_t largest = random() % 32;
    for (size_t j = 0; j < 32; ++j) {
      const int integer = static_cast<int>(random() % 255) - 127;
      const float number = scale * static_cast<float>(j != largest  ? integer
                                                      : integer < 0 ? -127
                                                                    : 127);
      std::memcpy(bytes.data() + (i + j) * sizeof number, &number, sizeof number);
    }
  }
  return bytes;
}

struct BlockCase {
  // `format`: of blocks, or F32, for what is rounded.
  BlockCase(Checks& checks, const Format& format, WeightForm form, int rows, int cols,
            bool exponents)
      : checks(checks), rows(rows), cols(cols), form(form), count(1) {
    std::mt19937 random(static_cast<unsigned>(hash(checks.seed, rows * 7 + cols)));
    const size_t numbers = static_cast<size_t>(rows) * cols;
    const size_t blocks = numbers / static_cast<size_t>(format.block_columns);
    const auto bytes = format.stores_blocks() ? random_blocks(format, blocks, exponents, random)
                                              : random_numbers(numbers, exponents, random);
    std::vector<double> exact(numbers);
    if (format.stores_blocks()) {
      exact = test::with_bf16_scales(format, bytes.data(), blocks);
    } else {
      std::vector<float> wide(numbers);
      format.widen(bytes.data(), blocks, wide.data());
      exact.assign(wide.begin(), wide.end());
    }
    std::vector<uint16_t> rounded(numbers);
    for (size_t i = 0; i < numbers; ++i) {
      rounded[i] = to_bf16(test::nearest_bf16(exact[i])).bits;
    }
    w = Array<Bf16>(numbers);
    CHECK_CUDA(cudaMemcpy(w.data(), rounded.data(), numbers * 2, cudaMemcpyHostToDevice));
    packed = pack(bytes, format);
    x = Array<Bf16>(size_t{kTokens} * cols);
    fill(x, checks.seed + 1, 1, exponents ? 12 : 0);
    name = std::string(format.name) + ' ' + std::to_string(rows) + " x " + std::to_string(cols) +
           (exponents ? ", exponents wide" : "");
  }

  Array<std::byte> pack(const std::vector<std::byte>& from, const Format& format) const {
    const size_t group_bytes = packed_bytes(form, 1, cols);
    std::vector<std::byte> bytes(packed_bytes(form, row_groups(rows), cols));
    for (int row = 0; row < rows; ++row) {
      pack_row(from.data() + row * bytes_of(format, static_cast<size_t>(cols)), format.type, cols,
               form, row % kSubtileRows,
               bytes.data() + static_cast<size_t>(row / kSubtileRows) * group_bytes);
    }
    return Array<std::byte>(bytes);
  }

  Tokens tokens(int first, int real, int bucket) const {
    CHECK_CUDA(cudaMemcpy(count.data(), &real, sizeof real, cudaMemcpyHostToDevice));
    return {x.data() + static_cast<size_t>(first) * cols, static_cast<size_t>(cols), bucket,
            count.data()};
  }
  MatrixView wide() const { return {w.data(), rows, cols}; }
  MatrixView blocks() const { return {packed.data(), rows, cols, form}; }

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
      CHECK_CUDA(matmul(tokens(m, 1, 1), blocks(), alone.data() + static_cast<size_t>(m) * stride,
                        stride, nullptr));
    }
    for (const int m : kCounts) {
      const int first = static_cast<int>(hash(checks.seed, m) % (kTokens - 512));
      const size_t size = static_cast<size_t>(m) * stride;
      for (const int bucket : {m, std::min(kTokens - first, m + 5)}) {
        const Tokens t = tokens(first, m, bucket);
        want.poison(), got.poison();
        CHECK_CUDA(matmul(t, wide(), want.data(), stride, nullptr));
        CHECK_CUDA(matmul(t, blocks(), got.data(), stride, nullptr));
        same<uint32_t>(got, want, all, "against BF16", m);
        const auto different = count_different<uint32_t>(
            got.data(), alone.data() + static_cast<size_t>(first) * stride, size);
        checks.expect(different == 0, "%s: %d tokens, %llu differ from one alone", name.c_str(), m,
                      different);
      }
      const Tokens t = tokens(first, m, m);
      fill(want, 5), fill(got, 5);
      CHECK_CUDA(matmul_add(t, wide(), want.data(), stride, nullptr));
      CHECK_CUDA(matmul_add(t, blocks(), got.data(), stride, nullptr));
      same<uint32_t>(got, want, all, "added", m);
      if (rows % (2 * kGatedRows) != 0) continue;
      for (const int real : {m, m / 2}) {
        const Tokens some = tokens(first, real, m);
        gated_want.poison(), gated_got.poison();
        CHECK_CUDA(matmul_swiglu(some, wide(), gated_want.data(), inter, nullptr));
        CHECK_CUDA(matmul_swiglu(some, blocks(), gated_got.data(), inter, nullptr));
        same<uint16_t>(gated_got, gated_want, gated_got.size(), "SwiGLU", real);
      }
    }
    top();
    if (cols > kMostOwnNormCols) return;
    check_own_norm(checks, blocks(), name);
  }

  void top() const {
    Array<char> workspace(top_workspace_bytes(kTokens, wide()));
    Array<Choice> want(kTokens), got(kTokens);
    for (const int m : {1, 5, 16, 33, 128, 300}) {
      want.poison(), got.poison();
      const Tokens t = tokens(0, m, m);
      CHECK_CUDA(matmul_top(t, wide(), want.data(), workspace.data(), nullptr));
      CHECK_CUDA(matmul_top(t, blocks(), got.data(), workspace.data(), nullptr));
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
  Array<std::byte> packed;
  Array<int> count;
};

// The fused projection of q, k and v.
class Projection {
 public:
  Projection(const Checks& checks, const Heads& heads)
      : heads_(heads),
        page_(static_cast<size_t>(heads.kv_heads) * tile_elements(heads.head_dim)),
        norms_(static_cast<size_t>(2 * heads.head_dim)),
        inv_freq_(std::vector<float>(static_cast<size_t>(heads.head_dim / 2), 0.01f)),
        turns_(size_t{kRows} * heads.head_dim / 2) {
    fill(norms_, checks.seed + 3);
  }

  // Keys and values, and queries.
  std::array<std::vector<Bf16>, 2> of(const Tokens& x, std::span<const MatrixView> runs) const {
    const int dim = heads_.head_dim;
    const auto rows = static_cast<size_t>(heads_.heads + 2 * heads_.kv_heads) * dim;
    const Array<KvSpan> spans(std::vector<KvSpan>{{0, x.bucket, 60, 0, -1}});
    Array<Bf16> cache(kPages * page_), q(size_t{kRows} * heads_.heads * dim);
    Array<float> qkv(kRows * rows);
    cache.poison(), q.poison(), qkv.poison();
    const KvBatch batch = {
        spans.data(), span_count_.data(), table_.data(), {cache.data(), page_}, {}};
    CHECK_CUDA(rope_table(batch, inv_freq_.data(), dim, turns_.data(), x.bucket, nullptr));
    const HeadWeights finish = {.bias = nullptr,
                                .q_norm = norms_.data(),
                                .k_norm = norms_.data() + dim,
                                .table = turns_.data(),
                                .eps = 1e-6f};
    CHECK_CUDA(matmul_qkv(x, runs, heads_, finish, batch, q.data(), qkv.data(), nullptr));
    return {cache.host(), q.host()};
  }

 private:
  static constexpr int kRows = 200, kPages = 6;

  Heads heads_;
  size_t page_;
  Array<Bf16> norms_;
  Array<float> inv_freq_;
  Array<float2> turns_;
  Array<int> table_ = Array<int>(std::vector<int>{3, 1, 5, 0, 2, 4});
  Array<int> span_count_ = Array<int>(std::vector<int>{1});
};

// All `runs` against one BF16 matrix.
void check_runs(Checks& checks, const BlockCase& tokens, const Heads& heads, const MatrixView& want,
                std::span<const MatrixView> runs, const std::string& name) {
  const Projection project(checks, heads);
  for (const int m : {1, 7, 16, 33, 128, 200}) {
    const Tokens x = tokens.tokens(11, m, m);
    const auto a = project.of(x, {&want, 1}), b = project.of(x, runs);
    for (size_t i = 0; i < a.size(); ++i) {
      checks.expect(std::memcmp(a[i].data(), b[i].data(), a[i].size() * sizeof(Bf16)) == 0,
                    "%s, heads: %d tokens, part %zu", name.c_str(), m, i);
    }
  }
}

void check_heads(Checks& checks, const Format& format, WeightForm form, const Heads& heads,
                 int cols) {
  const int rows = (heads.heads + 2 * heads.kv_heads) * heads.head_dim;
  const BlockCase c(checks, format, form, rows, cols, false);
  const MatrixView blocks = c.blocks();
  check_runs(checks, c, heads, c.wide(), {&blocks, 1}, c.name);
}

// q, k and v each in a form of its own, k in BF16 too.
void check_mixed_heads(Checks& checks, const Heads& heads, int cols) {
  const int q_rows = heads.heads * heads.head_dim, kv_rows = heads.kv_heads * heads.head_dim;
  const BlockCase q(checks, format_of(DType::kQ4_K), WeightForm::kQ4, q_rows, cols, false);
  const BlockCase k(checks, format_of(DType::kQ8_0), WeightForm::kQ8, kv_rows, cols, false);
  const BlockCase v(checks, format_of(DType::kQ6_K), WeightForm::kQ6, kv_rows, cols, false);
  const int rows = q_rows + 2 * kv_rows;
  Array<Bf16> all(static_cast<size_t>(rows) * cols);
  Bf16* to = all.data();
  for (const BlockCase* const part : {&q, &k, &v}) {
    CHECK_CUDA(
        cudaMemcpy(to, part->w.data(), part->w.size() * sizeof(Bf16), cudaMemcpyDeviceToDevice));
    to += part->w.size();
  }
  const MatrixView wide{all.data(), rows, cols};
  for (const MatrixView& of_k : {k.blocks(), k.wide()}) {
    const MatrixView runs[] = {q.blocks(), of_k, v.blocks()};
    check_runs(checks, q, heads, wide, runs, "q, k and v of three forms");
  }
  const BlockCase qk(checks, format_of(DType::kQ4_K), WeightForm::kQ4, q_rows + kv_rows, cols,
                     false);
  CHECK_CUDA(
      cudaMemcpy(all.data(), qk.w.data(), qk.w.size() * sizeof(Bf16), cudaMemcpyDeviceToDevice));
  const MatrixView runs[] = {qk.blocks(), v.blocks()};
  check_runs(checks, q, heads, wide, runs, "q and k of one form, v of another");
}

}  // namespace

void check_blocks(Checks& checks) {
  // Of 8B, 1.7B and 0.5B; of the tiny models; and odd ones. Columns are whole blocks.
  const int shapes[][2] = {{6144, 4096}, {4096, 12288}, {2048, 6144}, {1152, 896},
                           {896, 4864},  {2250, 1792},  {512, 64},    {1000, 544},
                           {352, 160},   {130, 96},     {65, 32},     {2, 32}};
  const int long_shapes[][2] = {{4096, 4096}, {2048, 6144}, {896, 4864}, {512, 256},
                                {130, 768},   {4170, 256},  {2250, 1792}};
  // gate and up in blocks of three warpgroups: the least rows that have those, for more than 8
  // tokens, and the most. With more tiles of K than a ring has places, and with few; and with an
  // odd number of either.
  int processors = 0;
  CHECK_CUDA(count_multiprocessors(&processors));
  const int least = std::max(processors, 127) * 128 + 2 * kGatedRows;  // of fewer K is split
  const int most = processors * 192;
  const int gated_shapes[][2] = {{least, 2048}, {most, 1024}};
  const int other_gated_shapes[][2] = {
      {least, 64}, {most, 64}, {most, 1088}, {most - 2 * kGatedRows, 160}};
  const auto check_case = [&](const Format& format, WeightForm form, int rows, int cols,
                              bool exponents) {
    if (checks.takes(rows, cols)) BlockCase(checks, format, form, rows, cols, exponents).run();
  };
  const auto check = [&](const Format& format, WeightForm form) {
    const bool first_of_form =
        format.type == DType::kQ8_0 || format.type == DType::kF32 || format.block_columns > 32;
    for (const bool exponents : {false, true}) {
      if (checks.few && (!first_of_form || exponents)) continue;
      if (format.block_columns > 32) {
        for (const auto& [rows, cols] : long_shapes) {
          check_case(format, form, rows, cols, exponents);
        }
        continue;
      }
      for (const auto& [rows, cols] : shapes) {
        if (!first_of_form && rows * cols > 1000000) continue;
        check_case(format, form, rows, cols, exponents);
      }
    }
    if (!first_of_form) return;
    for (const Heads& heads : kHeads) check_heads(checks, format, form, heads, 512);
    for (const auto& [rows, cols] : gated_shapes) {
      check_case(format, form, rows, cols, true);
    }
    if (format.type == DType::kQ4_K) check_case(format, form, most, 4096, false);
    if (format.block_columns > 32) return;
    for (const auto& [rows, cols] : other_gated_shapes) {
      check_case(format, form, rows, cols, true);
    }
  };
  for (const WeightForm form : kBlockForms) {
    for (const Format& format : all_formats()) {
      if (holds(form, format.type)) check(format, form);
    }
  }
  check(format_of(DType::kF32), WeightForm::kQ8);
  for (const Heads& heads : kHeads) check_mixed_heads(checks, heads, 512);
}

}  // namespace orthrus::cuda
