// The CPU operations: equal to the reference within rounding on random inputs of odd sizes, and the
// same to the bit however rows are batched, however many threads there are, and on every
// instruction set that this processor has.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/instruction_sets.h"
#include "kernels/reference_ops.h"
#include "kernels/storage.h"

namespace orthrus {
namespace {

const ReferenceOps kReference;

DType any_type(RandomTest& test) {
  return all_formats()[test.pick(0, static_cast<int>(all_formats().size()) - 1)].type;
}

constexpr DType kCacheTypes[] = {DType::kF32, DType::kBF16};

// Runs work(ops, workspace) on a team.
void in_team(int threads, const std::function<void(const Ops&, float*)>& work) {
  const CpuOps ops(threads);
  const Buffer workspace = ops.allocate(ops.workspace_floats(200, 1024));
  ops.parallel([&] { work(ops, workspace.get()); });
}

using cpu::has_fused_multiply_add;
using cpu::instruction_sets;

// Each test runs on every instruction set.
class Kernels : public RandomTest, public testing::WithParamInterface<int64_t> {
 protected:
  Kernels() { hwy::SetSupportedTargetsForTest(GetParam()); }
  ~Kernels() override { hwy::SetSupportedTargetsForTest(0); }
};
INSTANTIATE_TEST_SUITE_P(InstructionSets, Kernels, testing::ValuesIn(instruction_sets()),
                         [](const auto& info) { return hwy::TargetName(info.param); });

using KernelsOfAllSets = RandomTest;

TEST_P(Kernels, MatmulIsTheReferenceWithinRounding) {
  for (const Format& format : all_formats()) {
    const DType type = format.type;
    for (int trial = 0; trial < 24; ++trial) {
      const int tokens = pick(1, trial % 8 == 1 ? 100 : 20);
      const DType more_type = trial % 4 == 0 ? any_type(*this) : type;
      const int cols = whole_blocks(pick(1, trial % 8 == 0 ? 2500 : 200), {type, more_type});
      const int rows = pick(1, 70), more_rows = pick(1, 40);
      const auto random = [&] { return normal(); };
      const Weights w(type, rows, cols, random), more(more_type, more_rows, cols, random);
      const auto x = filled(tokens, cols, random);
      Storage got(tokens, rows), want(tokens, rows);
      Storage got_more(tokens, more_rows), want_more(tokens, more_rows);
      const CpuOps ops(pick(1, 3));
      const Buffer workspace = ops.allocate(ops.workspace_floats(tokens, cols));
      const auto bias = filled(1, rows, random);
      ops.parallel([&] {
        const Product products[] = {{&w.packed.view, got.view, bias.view.data},
                                    {&more.packed.view, got_more.view}};
        ops.matmul(x.view, products, workspace.get());
      });
      const Product products[] = {{&w.table.view, want.view, bias.view.data},
                                  {&more.table.view, want_more.view}};
      kReference.matmul(x.view, products, nullptr);
      SCOPED_TRACE(testing::Message()
                   << name_of(type) << " " << tokens << "x" << rows << "x" << cols);
      const double tolerance = 1e-6 * (64 + cols);
      expect_close(got.view, want.view, tolerance);
      expect_close(got_more.view, want_more.view, tolerance);
    }
  }
}

TEST_P(Kernels, MatmulAddAndSwigluAreTheReferenceWithinRounding) {
  for (const Format& format : all_formats()) {
    const DType type = format.type;
    for (int trial = 0; trial < 12; ++trial) {
      const int tokens = pick(1, 20), rows = pick(1, 70);
      const DType up_type = trial % 4 == 0 ? any_type(*this) : type;
      const int cols = whole_blocks(pick(1, 200), {type, up_type});
      const auto random = [&] { return normal(); };
      const Weights gate(type, rows, cols, random), up(up_type, rows, cols, random);
      const auto x = filled(tokens, cols, random);
      Storage added = filled(tokens, rows, random);
      Storage want_added = added, gated(tokens, rows), want_gated(tokens, rows);
      in_team(pick(1, 3), [&](const Ops& ops, float* workspace) {
        ops.matmul_add(x.view, gate.packed.view, added.view, workspace);
        ops.matmul_swiglu(x.view, gate.packed.view, up.packed.view, gated.view, workspace);
      });
      kReference.matmul_add(x.view, gate.table.view, want_added.view, nullptr);
      kReference.matmul_swiglu(x.view, gate.table.view, up.table.view, want_gated.view, nullptr);
      SCOPED_TRACE(testing::Message()
                   << name_of(type) << " " << tokens << "x" << rows << "x" << cols);
      expect_close(added.view, want_added.view, 2e-4);
      expect_close(gated.view, want_gated.view, 2e-3);  // the error of one times the other
    }
  }
}

TEST_P(Kernels, ProductBitsDoNotDependOnBatchOrThreads) {
  for (const Format& format : all_formats()) {
    const DType type = format.type;
    for (int trial = 0; trial < 12; ++trial) {
      const int tokens = pick(1, 110), rows = pick(1, 150);
      const int cols = whole_blocks(pick(1, 300), {type});
      const auto random = [&] { return normal(); };
      const Weights w(type, rows, cols, random), up(type, rows, cols, random);
      const auto x = filled(tokens, cols, random);
      const Storage residual = filled(tokens, rows, random), bias = filled(1, rows, random);
      struct Results {
        Storage product, added, gated;
      };
      const auto apply = [&](Results& to, int first, int count, int threads) {
        in_team(threads, [&](const Ops& ops, float* workspace) {
          const ConstRows part = ConstRows(x.view).slice(first, count);
          const Product products[] = {
              {&w.packed.view, to.product.view.slice(first, count), bias.view.data}};
          ops.matmul(part, products, workspace);
          ops.matmul_add(part, w.packed.view, to.added.view.slice(first, count), workspace);
          ops.matmul_swiglu(part, w.packed.view, up.packed.view, to.gated.view.slice(first, count),
                            workspace);
        });
      };
      Results together{{tokens, rows}, residual, {tokens, rows}};
      Results apart = together;
      apply(together, 0, tokens, 2);
      for (int first = 0; first < tokens;) {
        const int count = std::min(pick(1, trial % 2 == 0 ? 9 : 50), tokens - first);
        apply(apart, first, count, pick(1, 5));
        first += count;
      }
      SCOPED_TRACE(name_of(type));
      expect_same_bits(apart.product.view, together.product.view, "matmul");
      expect_same_bits(apart.added.view, together.added.view, "matmul_add");
      expect_same_bits(apart.gated.view, together.gated.view, "matmul_swiglu");
    }
  }
}

TEST_F(KernelsOfAllSets, ProductBitsDoNotDependOnTheInstructionSet) {
  for (int trial = 0; trial < 3 * static_cast<int>(all_formats().size()); ++trial) {
    const Format& format = all_formats()[trial / 3];
    const int tokens = pick(1, 60), rows = pick(1, 70);
    const int cols = whole_blocks(pick(1, 300), {format.type});
    const auto random = [&] { return normal(); };
    const Weights w(format.type, rows, cols, random);
    const auto x = filled(tokens, cols, random);
    std::vector<Storage> results;
    const auto run = [&](const char* name) {
      Storage& out = results.emplace_back(tokens, rows);
      in_team(2, [&](const Ops& ops, float* workspace) {
        ops.matmul_swiglu(x.view, w.packed.view, w.packed.view, out.view, workspace);
      });
      expect_same_bits(out.view, results.front().view, name);
    };
    results.reserve(instruction_sets().size());
    for (const int64_t set : instruction_sets()) {
      if (!has_fused_multiply_add(set)) continue;
      hwy::SetSupportedTargetsForTest(set);
      run(hwy::TargetName(set));
    }
    hwy::SetSupportedTargetsForTest(0);
  }
}

// Scales of zero, subnormal, negative and large ones, side by side.
TEST_F(KernelsOfAllSets, ScalesOfBlocksMayBeAny) {
  constexpr float kScales[] = {0, -0.0f, 0x1p-24f, -0x1.8p-20f, 6e-5f, -0.03f, 0.7f, -3000};
  const auto scale = [&] { return to_f16(kScales[pick(0, std::size(kScales) - 1)]); };
  for (const Format& format : all_formats()) {
    if (!format.stores_blocks()) continue;
    const int tokens = pick(1, 20), rows = pick(1, 40);
    const int cols = whole_blocks(pick(1, 600), {format.type});
    Table table = random_table(format.type, rows, cols, [&] { return normal(); });
    auto* const bytes = reinterpret_cast<unsigned char*>(table.data.get());
    const size_t size = bytes_of(format, static_cast<size_t>(rows) * cols);
    for (size_t at = 0; at < size; at += format.block_bytes) {
      set_scales(format.type, bytes + at, scale(), scale());
    }
    const Packed w = packed(CpuOps(1), table.view, format.type);
    const auto x = filled(tokens, cols, [&] { return normal(); });
    Storage want(tokens, rows), first(tokens, rows);
    const Product product{&table.view, want.view};
    kReference.matmul(x.view, std::span(&product, 1), nullptr);
    for (const int64_t set : instruction_sets()) {
      hwy::SetSupportedTargetsForTest(set);
      Storage got(tokens, rows);
      in_team(2, [&](const Ops& ops, float* workspace) {
        const Product products[] = {{&w.view, got.view}};
        ops.matmul(x.view, products, workspace);
      });
      // In float32, of terms as large as the largest scale makes them.
      for (int m = 0; m < tokens; ++m) {
        for (int n = 0; n < rows; ++n) {
          ASSERT_NEAR(got.view.row(m)[n], want.view.row(m)[n], 3000 * format.largest / 65504 * 1e-3)
              << format.name << " " << hwy::TargetName(set);
        }
      }
      if (!has_fused_multiply_add(set)) continue;
      if (set == instruction_sets().front()) {
        std::memcpy(first.floats.data(), got.floats.data(), got.floats.size() * sizeof(float));
      }
      expect_same_bits(got.view, first.view, hwy::TargetName(set));
    }
    hwy::SetSupportedTargetsForTest(0);
  }
}

// The largest logit is the one that the stored product has; and its probability the softmax.
// Rounding activations to 8 bits must not lose that one of them is no number.
TEST_P(Kernels, OneActivationThatIsNotFiniteMakesEveryProductSo) {
  constexpr int kTokens = 3, kRows = 20;
  for (const Format& format : all_formats()) {
    const int cols = whole_blocks(pick(1, 200), {format.type});
    const Weights w(format.type, kRows, cols, [&] { return 1 + std::abs(normal()); });
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      auto x = filled(kTokens, cols, [&] { return normal(); });
      x.view.row(1)[pick(0, cols - 1)] = bad;
      Storage got(kTokens, kRows);
      in_team(2, [&](const Ops& ops, float* workspace) {
        const Product products[] = {{&w.packed.view, got.view}};
        ops.matmul(x.view, products, workspace);
      });
      for (int n = 0; n < kRows; ++n) {
        EXPECT_FALSE(std::isfinite(got.view.row(1)[n])) << name_of(format.type) << " " << bad;
        EXPECT_TRUE(std::isfinite(got.view.row(0)[n])) << name_of(format.type);
        EXPECT_TRUE(std::isfinite(got.view.row(2)[n])) << name_of(format.type);
      }
    }
  }
}

TEST_P(Kernels, TopIsTheLargestOfTheProduct) {
  for (const Format& format : all_formats()) {
    for (int trial = 0; trial < 12; ++trial) {
      const int tokens = pick(1, 20), rows = pick(1, 200);
      const int cols = whole_blocks(pick(1, 100), {format.type});
      const Weights w(format.type, rows, cols, [&] { return normal() * 0.3f; });
      const auto x = filled(tokens, cols, [&] { return normal(); });
      Storage logits(tokens, rows);
      std::vector<Choice> tops(tokens), unlikely(tokens), want(tokens);
      in_team(pick(1, 5), [&](const Ops& ops, float* workspace) {
        const Product products[] = {{&w.packed.view, logits.view}};
        ops.matmul(x.view, products, workspace);
        ops.matmul_top(x.view, w.packed.view, true, tops, workspace);
        ops.matmul_top(x.view, w.packed.view, false, unlikely, workspace);
      });
      kReference.matmul_top(x.view, w.table.view, true, want, nullptr);
      for (int m = 0; m < tokens; ++m) {
        const float* row = logits.view.row(m);
        const auto best = static_cast<int>(std::max_element(row, row + rows) - row);
        EXPECT_EQ(tops[m].id, best);
        EXPECT_EQ(tops[m].logit, row[best]);
        EXPECT_EQ(unlikely[m].id, best);
        EXPECT_NEAR(tops[m].probability, want[m].probability, 1e-3);
      }
    }
  }
}

TEST_P(Kernels, TopTakesTheLowestOfEqualLogits) {
  const int rows = 300;
  Storage x(1, 1);
  x.view.row(0)[0] = 1;
  std::vector<float> column(rows);
  for (const std::vector<int>& largest : {std::vector{299, 17, 40}, {16, 15}, {0, 299}}) {
    std::fill(column.begin(), column.end(), -1.0f);
    for (const int n : largest) column[n] = 2;
    const auto w = packed(CpuOps(1), {column.data(), DType::kF32, rows, 1}, DType::kF32);
    for (int threads = 1; threads <= 5; ++threads) {
      std::vector<Choice> top(1);
      in_team(threads, [&](const Ops& ops, float* workspace) {
        ops.matmul_top(x.view, w.view, true, top, workspace);
      });
      EXPECT_EQ(top[0].id, *std::min_element(largest.begin(), largest.end()));
      EXPECT_NEAR(top[0].probability,
                  1 / (largest.size() + (rows - largest.size()) * std::exp(-3.0)), 1e-5);
    }
  }
}

TEST_P(Kernels, TopOfARowThatIsNotFiniteIsNone) {
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (const float value : bad) {
    std::vector<float> column(100, 1.0f);
    column[pick(0, 99)] = value;
    const auto w = packed(CpuOps(1), {column.data(), DType::kF32, 100, 1}, DType::kF32);
    Storage x(2, 1);
    x.view.row(0)[0] = x.view.row(1)[0] = 1;
    std::vector<Choice> top(2);
    in_team(pick(1, 3), [&](const Ops& ops, float* workspace) {
      ops.matmul_top(x.view, w.view, true, top, workspace);
    });
    EXPECT_EQ(top[0].id, -1);
    EXPECT_EQ(top[1].id, -1);
  }
}

TEST_P(Kernels, EmbedIsExact) {
  for (const Format& format : all_formats()) {
    const int cols = whole_blocks(pick(1, 60), {format.type});
    const auto table = random_table(format.type, 20, cols, [&] { return normal(); });
    const std::vector<int32_t> ids{0, 19, 7, 7, 3};
    Storage got(5, cols), want(5, cols);
    in_team(2, [&](const Ops& ops, float*) { ops.embed(table.view, ids, got.view); });
    kReference.embed(table.view, ids, want.view);
    expect_same_bits(got.view, want.view, "embed");
  }
}

TEST_P(Kernels, RmsNorm) {
  for (int trial = 0; trial < 50; ++trial) {
    const int rows = pick(1, 9), cols = pick(1, 200);
    const auto x = filled(rows, cols, [&] { return normal() * 10; });
    std::vector<float> weight(cols);
    for (float& w : weight) w = normal();
    Storage got(rows, cols), want(rows, cols), alone(rows, cols);
    in_team(2, [&](const Ops& ops, float*) { ops.rms_norm(x.view, weight, 1e-6f, got.view); });
    kReference.rms_norm(x.view, weight, 1e-6f, want.view);
    expect_close(got.view, want.view, 1e-6);
    for (int m = 0; m < rows; ++m) {
      CpuOps(1).rms_norm(x.view.slice(m, 1), weight, 1e-6f, alone.view.slice(m, 1));
    }
    expect_same_bits(alone.view, got.view, "rms_norm");
  }
}

TEST_P(Kernels, RopeTable) {
  const int rows = pick(1, 60), half = pick(1, 100);
  std::vector<float> inv_freq(half);
  for (int i = 0; i < half; ++i) inv_freq[i] = std::pow(1e6f, -1.0f * i / half);
  std::vector<int32_t> positions(rows);
  for (int32_t& p : positions) p = pick(0, 40000);
  Storage cos(rows, half), sin(rows, half), cos2(rows, half), sin2(rows, half);
  in_team(2,
          [&](const Ops& ops, float*) { ops.rope_table(positions, inv_freq, cos.view, sin.view); });
  kReference.rope_table(positions, inv_freq, cos2.view, sin2.view);
  expect_same_bits(cos.view, cos2.view, "cos");
  expect_same_bits(sin.view, sin2.view, "sin");
}

// Pages of keys and values, filled with whatever: NaN, of either type, where nothing was written.
struct Cache {
  Cache(const KvLayout& layout, int positions) {
    for (int i = 0; i * kPageSize < positions; ++i) {
      buffers.emplace_back(layout.page_bytes(), std::byte{0xff});
      pages.push_back(buffers.back().data());
    }
  }
  std::vector<std::vector<std::byte>> buffers;
  std::vector<std::byte*> pages;
};

// Keys and values, [rows][kv_heads * head_dim], into slots from `slot` on.
void put(const Cache& cache, size_t offset, int slot, ConstRows k, ConstRows v,
         const KvLayout& layout) {
  for (int i = 0; i < k.rows; ++i, ++slot) {
    for (int h = 0; h < layout.kv_heads; ++h) {
      std::byte* const tile = cache.pages[slot / kPageSize] + offset + layout.tile_bytes() * h;
      for (int d = 0; d < layout.head_dim; ++d) {
        const int column = h * layout.head_dim + d;
        put_number(key_of(tile, slot % kPageSize, d, layout), layout.type, k.row(i)[column]);
        put_number(value_of(tile, slot % kPageSize, d, layout), layout.type, v.row(i)[column]);
      }
    }
  }
}

bool same_bits(const Cache& a, const Cache& b) {
  for (size_t i = 0; i < a.buffers.size(); ++i) {
    if (a.buffers[i] != b.buffers[i]) return false;
  }
  return true;
}

TEST_P(Kernels, NormRopeStore) {
  for (int trial = 0; trial < 20; ++trial) {
    const KvLayout layout{2, pick(1, 3), 2 * pick(1, 50), kCacheTypes[trial % 2]};
    const int dim = layout.head_dim;
    const int heads = layout.kv_heads * pick(1, 4);
    const int rows = pick(1, 70), block_rows = pick(1, 70), total = rows + block_rows;
    const int context = pick(0, 200);
    const size_t offset = layout.layer_bytes();  // the second layer
    const auto random = [&] { return normal(); };
    const auto q = filled(total, heads * dim, random);
    const auto k = filled(total, layout.kv_heads * dim, random);
    const auto v = filled(total, layout.kv_heads * dim, random);
    const auto cos = filled(total, dim / 2, random), sin = filled(total, dim / 2, random);
    const bool norms = trial % 3 != 0;
    std::vector<float> q_weight(norms ? dim : 0), k_weight(norms ? dim : 0);
    for (float& w : q_weight) w = normal();
    for (float& w : k_weight) w = normal();

    const Cache cache(layout, context + rows), block(layout, block_rows);
    const std::vector<AttentionSpan> spans{
        {0, rows, context, cache.pages.data(), nullptr},
        {rows, block_rows, pick(0, 9), cache.pages.data(), block.pages.data()}};
    Storage got_q = q, got_k = k, want_q = q, want_k = k;
    in_team(pick(1, 5), [&](const Ops& ops, float*) {
      ops.norm_rope_store(got_q.view, got_k.view, v.view, q_weight, k_weight, 1e-6f,
                          {cos.view, sin.view}, spans, layout, offset);
    });

    // What was stored is what was computed, and nothing else was touched.
    const Cache expected(layout, context + rows), expected_block(layout, block_rows);
    put(expected, offset, context, got_k.view.slice(0, rows), v.view.slice(0, rows), layout);
    put(expected_block, 0, 0, got_k.view.slice(rows, block_rows), v.view.slice(rows, block_rows),
        layout);
    EXPECT_TRUE(same_bits(cache, expected));
    EXPECT_TRUE(same_bits(block, expected_block));

    // What was computed is the reference, within rounding.
    kReference.norm_rope_store(want_q.view, want_k.view, v.view, q_weight, k_weight, 1e-6f,
                               {cos.view, sin.view}, spans, layout, offset);
    expect_close(got_q.view, want_q.view, 5e-6);
    expect_close(got_k.view, want_k.view, 5e-6);

    // Row by row, the same bits.
    Storage q_alone = q, k_alone = k;
    for (int m = 0; m < total; ++m) {
      const AttentionSpan one{0, 1, m, cache.pages.data(), expected.pages.data()};
      CpuOps(1).norm_rope_store(q_alone.view.slice(m, 1), k_alone.view.slice(m, 1),
                                v.view.slice(m, 1), q_weight, k_weight, 1e-6f,
                                {cos.view.slice(m, 1), sin.view.slice(m, 1)}, std::span(&one, 1),
                                layout, 0);
    }
    expect_same_bits(q_alone.view, got_q.view, "q");
    expect_same_bits(k_alone.view, got_k.view, "k");
  }
}

// Of pages that hold NaN elsewhere, which stays where it is.
TEST_P(Kernels, CopiesTheSlotsAskedForAndNoOthers) {
  for (int trial = 0; trial < 20; ++trial) {
    const KvLayout layout{2, pick(1, 3), 2 * pick(1, 50), kCacheTypes[trial % 2]};
    const size_t offset = layout.layer_bytes();
    const auto random = [&] { return normal(); };
    const Cache from(layout, 3 * kPageSize), got(layout, 3 * kPageSize),
        want(layout, 3 * kPageSize);
    const auto keys = filled(3 * kPageSize, layout.kv_heads * layout.head_dim, random);
    put(from, offset, 0, keys.view, keys.view, layout);
    const auto copies_to = [&](const Cache& to) {
      std::vector<SlotCopy> copies;
      for (int i = 0, begin = 0; i < 3; ++i, begin += 9) {
        copies.push_back({from.pages[i], to.pages[2 - i], begin, begin + 9 * (i + 1)});
      }
      return copies;
    };
    in_team(pick(1, 5),
            [&](const Ops& ops, float*) { ops.copy_slots(copies_to(got), layout, offset); });
    kReference.copy_slots(copies_to(want), layout, offset);
    EXPECT_TRUE(same_bits(got, want));
  }
}

// Three spans side by side: a verify block or prefill chunk behind some context, a diffusion block,
// and one AR step; each with pages of its own.
TEST_P(Kernels, AttentionIsTheReferenceAndItsBitsDoNotDependOnBatchOrThreads) {
  for (int trial = 0; trial < 30; ++trial) {
    const KvLayout layout{2, pick(1, 3), 2 * pick(1, trial % 5 == 0 ? 100 : 50),
                          kCacheTypes[trial % 2]};
    const int heads = layout.kv_heads * pick(1, 4);
    const int kv_width = layout.kv_heads * layout.head_dim;
    const int q_width = heads * layout.head_dim;
    const int context[3] = {pick(0, 200), pick(0, 200), pick(0, 300)};
    const int rows[3] = {pick(1, 90), pick(2, 80), 1};
    const size_t offset = layout.layer_bytes();  // the second layer
    const auto random = [&] { return normal(); };
    std::vector<Cache> caches, blocks;
    int total = 0;
    for (int s = 0; s < 3; ++s) {
      const bool has_block = s == 1;
      const int cached = context[s] + (has_block ? 0 : rows[s]);
      caches.emplace_back(layout, cached);
      put(caches[s], offset, 0, filled(cached, kv_width, random).view,
          filled(cached, kv_width, random).view, layout);
      blocks.emplace_back(layout, has_block ? rows[s] : 0);
      if (has_block) {
        put(blocks[s], 0, 0, filled(rows[s], kv_width, random).view,
            filled(rows[s], kv_width, random).view, layout);
      }
    }
    std::vector<AttentionSpan> spans;
    for (int s = 0; s < 3; ++s) {
      spans.push_back({total, rows[s], context[s], caches[s].pages.data(),
                       s == 1 ? blocks[s].pages.data() : nullptr});
      total += rows[s];
    }
    const auto q = filled(total, q_width, [&] { return normal() * 2; });
    Storage got(total, q_width), want(total, q_width), apart(total, q_width);
    in_team(pick(1, 5), [&](const Ops& ops, float* workspace) {
      ops.attention(q.view, spans, layout, offset, got.view, workspace);
    });
    kReference.attention(q.view, spans, layout, offset, want.view, nullptr);
    expect_close(got.view, want.view, 1e-5);

    // Row by row: an AR row at position p is the AR step at p.
    for (const AttentionSpan& span : spans) {
      for (int i = 0; i < span.rows; ++i) {
        AttentionSpan one = span;
        one.first_row = 0;
        const int row = span.first_row + i;
        const int threads = pick(1, 4);
        if (span.has_block()) {
          // The whole block is visible, so it is the block with its other queries changed.
          Storage queries = filled(span.rows, q_width, random);
          std::memcpy(queries.view.row(i), q.view.row(row), q_width * sizeof(float));
          Storage out(span.rows, q_width);
          in_team(threads, [&](const Ops& ops, float* workspace) {
            ops.attention(queries.view, std::span(&one, 1), layout, offset, out.view, workspace);
          });
          std::memcpy(apart.view.row(row), out.view.row(i), q_width * sizeof(float));
        } else {
          one.rows = 1;
          one.first_position = span.first_position + i;
          in_team(threads, [&](const Ops& ops, float* workspace) {
            ops.attention(q.view.slice(row, 1), std::span(&one, 1), layout, offset,
                          apart.view.slice(row, 1), workspace);
          });
        }
      }
    }
    expect_same_bits(apart.view, got.view, "attention");
  }
}

// Paths of a tree, and sequences that begin alike: spans of any length whose first pages are the
// same ones, in any order, beside one that shares nothing.
TEST_P(Kernels, AttentionOfSpansThatSharePagesIsThatOfEachAlone) {
  for (int trial = 0; trial < 30; ++trial) {
    const KvLayout layout{2, pick(1, 3), 2 * pick(1, 50), kCacheTypes[trial % 2]};
    const int group = pick(1, 8);
    const int kv_width = layout.kv_heads * layout.head_dim;
    const size_t offset = layout.layer_bytes();
    const auto random = [&] { return normal(); };
    const auto cache_of = [&](int positions) {
      Cache cache(layout, positions);
      put(cache, offset, 0, filled(positions, kv_width, random).view,
          filled(positions, kv_width, random).view, layout);
      return cache;
    };
    constexpr int kMost = 5 * kPageSize;
    const Cache shared = cache_of(kMost);
    std::vector<Cache> own;
    std::vector<std::vector<std::byte*>> pages;
    std::vector<AttentionSpan> spans;
    int total = 0;
    const int count = pick(2, 12);
    for (int s = 0; s < count; ++s) {
      const int rows = pick(0, 3) > 0 ? pick(1, 3) : pick(1, 40);
      own.push_back(cache_of(kMost));
      pages.push_back(own.back().pages);
      const int alike = pick(0, 4) == 0 ? 0 : pick(0, 4);
      std::copy_n(shared.pages.begin(), alike, pages.back().begin());
      spans.push_back({total, rows, pick(0, kMost - rows), nullptr, nullptr});
      total += rows;
    }
    for (int s = 0; s < count; ++s) spans[static_cast<size_t>(s)].cache = pages[s].data();
    const int q_width = group * kv_width;
    const auto q = filled(total, q_width, [&] { return normal() * 2; });
    Storage got(total, q_width), want(total, q_width), alone(total, q_width);
    in_team(pick(1, 5), [&](const Ops& ops, float* workspace) {
      ops.attention(q.view, spans, layout, offset, got.view, workspace);
    });
    kReference.attention(q.view, spans, layout, offset, want.view, nullptr);
    expect_close(got.view, want.view, 1e-5);
    for (const AttentionSpan& span : spans) {
      in_team(pick(1, 4), [&](const Ops& ops, float* workspace) {
        ops.attention(q.view, std::span(&span, 1), layout, offset, alone.view, workspace);
      });
    }
    expect_same_bits(alone.view, got.view, "attention");
  }
}

}  // namespace
}  // namespace orthrus
