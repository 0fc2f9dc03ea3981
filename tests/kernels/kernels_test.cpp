// The CPU operations: equal to the reference within rounding on random inputs of odd sizes, and the
// same to the bit however rows are batched and however many threads there are.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cpu/cpu_ops.h"
#include "kernels/reference_ops.h"

namespace orthrus {
namespace {

const ReferenceOps kReference;

class Kernels : public testing::Test {
 protected:
  // A fresh seed each run, printed when a test fails.
  Kernels() : seed_(std::random_device{}()), random_(seed_) {}
  void TearDown() override {
    if (HasFailure()) std::printf("seed: %u\n", seed_);
  }

  int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  float normal() { return normal_(random_); }

  unsigned seed_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
};

// Rows with their storage; the stride is a little wider than the row.
struct Storage {
  Storage(int rows, int cols) : floats(static_cast<size_t>(rows) * (cols + 3)) {
    view = {floats.data(), rows, cols, static_cast<size_t>(cols) + 3};
  }
  std::vector<float> floats;
  Rows view;
};

template <typename Fill>
Storage filled(int rows, int cols, Fill fill) {
  Storage s(rows, cols);
  for (int m = 0; m < rows; ++m) {
    for (int i = 0; i < cols; ++i) s.view.row(m)[i] = fill();
  }
  return s;
}

struct WeightStorage {
  std::vector<uint32_t> words;
  Matrix view;
};

template <typename Fill>
WeightStorage random_weights(DType type, int rows, int cols, Fill normal) {
  WeightStorage s;
  const size_t count = static_cast<size_t>(rows) * cols;
  s.words.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(normal());
    if (type == DType::kF32) {
      s.words[i] = bits;
    } else if (type == DType::kBF16) {
      reinterpret_cast<uint16_t*>(s.words.data())[i] = static_cast<uint16_t>(bits >> 16);
    } else {  // sign, an exponent up to 16 (2.0), any mantissa: subnormals included
      const uint32_t half = (bits & 0x83ff) | ((bits >> 16) % 17) << 10;
      reinterpret_cast<uint16_t*>(s.words.data())[i] = static_cast<uint16_t>(half);
    }
  }
  s.view = {s.words.data(), type, rows, cols};
  return s;
}

void expect_close(ConstRows got, ConstRows want, double tolerance) {
  for (int m = 0; m < want.rows; ++m) {
    for (int i = 0; i < want.cols; ++i) {
      const double scale = std::max(1.0, std::abs(double(want.row(m)[i])));
      ASSERT_NEAR(got.row(m)[i], want.row(m)[i], tolerance * scale)
          << "row " << m << " column " << i;
    }
  }
}

void expect_same_bits(ConstRows got, ConstRows want, const char* what) {
  ASSERT_EQ(got.rows, want.rows);
  for (int m = 0; m < want.rows; ++m) {
    ASSERT_EQ(std::memcmp(got.row(m), want.row(m), want.cols * sizeof(float)), 0)
        << what << ", row " << m;
  }
}

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

TEST_F(Kernels, MatmulIsTheReferenceWithinRounding) {
  for (const DType type : kTypes) {
    for (int trial = 0; trial < 40; ++trial) {
      const int tokens = pick(1, 40), rows = pick(1, 70), cols = pick(1, 200);
      const auto w = random_weights(type, rows, cols, [&] { return normal(); });
      const auto x = filled(tokens, cols, [&] { return normal(); });
      Storage got(tokens, rows), want(tokens, rows);
      CpuOps(pick(1, 3)).matmul(x.view, w.view, got.view);
      kReference.matmul(x.view, w.view, want.view);
      SCOPED_TRACE(testing::Message()
                   << name_of(type) << " " << tokens << "x" << rows << "x" << cols);
      expect_close(got.view, want.view, 1e-4);
    }
  }
}

TEST_F(Kernels, MatmulBitsDoNotDependOnBatchOrThreads) {
  for (const DType type : kTypes) {
    for (int trial = 0; trial < 20; ++trial) {
      const int tokens = pick(1, 150), rows = pick(1, 70), cols = pick(1, 300);
      const auto w = random_weights(type, rows, cols, [&] { return normal(); });
      const auto x = filled(tokens, cols, [&] { return normal(); });
      Storage together(tokens, rows), apart(tokens, rows);
      CpuOps(2).matmul(x.view, w.view, together.view);
      for (int first = 0; first < tokens;) {
        const int count = std::min(pick(1, 9), tokens - first);
        CpuOps(pick(1, 5))
            .matmul(x.view.slice(first, count), w.view, apart.view.slice(first, count));
        first += count;
      }
      expect_same_bits(apart.view, together.view, "matmul");
    }
  }
}

TEST_F(Kernels, EmbedIsExact) {
  for (const DType type : kTypes) {
    const int cols = pick(1, 60);
    const auto table = random_weights(type, 20, cols, [&] { return normal(); });
    const std::vector<int32_t> ids{0, 19, 7, 7, 3};
    Storage got(5, cols), want(5, cols);
    CpuOps(2).embed(table.view, ids, got.view);
    kReference.embed(table.view, ids, want.view);
    expect_same_bits(got.view, want.view, "embed");
  }
}

TEST_F(Kernels, RmsNorm) {
  for (int trial = 0; trial < 50; ++trial) {
    const int rows = pick(1, 9), cols = pick(1, 200);
    const auto x = filled(rows, cols, [&] { return normal() * 10; });
    std::vector<float> weight(cols);
    for (float& w : weight) w = normal();
    Storage got(rows, cols), want(rows, cols), alone(rows, cols);
    CpuOps(2).rms_norm(x.view, weight, 1e-6f, got.view);
    kReference.rms_norm(x.view, weight, 1e-6f, want.view);
    expect_close(got.view, want.view, 1e-6);
    for (int m = 0; m < rows; ++m) {
      CpuOps(1).rms_norm(x.view.slice(m, 1), weight, 1e-6f, alone.view.slice(m, 1));
    }
    expect_same_bits(alone.view, got.view, "rms_norm");
  }
}

TEST_F(Kernels, HeadNormRope) {
  for (int trial = 0; trial < 50; ++trial) {
    const int rows = pick(1, 60), heads = pick(1, 8), dim = 2 * pick(1, 100);
    auto got = filled(rows, heads * dim, [&] { return normal(); });
    Storage want = got, alone = got;
    want.view.data = want.floats.data();
    alone.view.data = alone.floats.data();
    std::vector<float> weight(dim), inv_freq(dim / 2);
    for (float& w : weight) w = normal();
    for (int i = 0; i < dim / 2; ++i) inv_freq[i] = std::pow(1e6f, -2.0f * i / dim);
    std::vector<int32_t> positions(rows);
    for (int32_t& p : positions) p = pick(0, 40000);
    Storage cos(rows, dim / 2), sin(rows, dim / 2), cos2(rows, dim / 2), sin2(rows, dim / 2);
    CpuOps(2).rope_table(positions, inv_freq, cos.view, sin.view);
    kReference.rope_table(positions, inv_freq, cos2.view, sin2.view);
    expect_same_bits(cos.view, cos2.view, "cos");
    expect_same_bits(sin.view, sin2.view, "sin");
    CpuOps(pick(2, 5)).head_norm_rope(got.view, weight, 1e-6f, {cos.view, sin.view});
    kReference.head_norm_rope(want.view, weight, 1e-6f, {cos.view, sin.view});
    expect_close(got.view, want.view, 2e-6);
    for (int m = 0; m < rows; ++m) {
      CpuOps(1).head_norm_rope(alone.view.slice(m, 1), weight, 1e-6f,
                               {cos.view.slice(m, 1), sin.view.slice(m, 1)});
    }
    expect_same_bits(alone.view, got.view, "head_norm_rope");
  }
}

TEST_F(Kernels, SwigluAndAdd) {
  for (int trial = 0; trial < 10; ++trial) {
    const int rows = pick(1, 60), cols = pick(1, 600);  // small ones alone, large ones shared
    const auto gate = filled(rows, cols, [&] { return normal() * 30; });
    const auto up = filled(rows, cols, [&] { return normal(); });
    const auto apply = [&](const Ops& ops, bool row_by_row) {
      Storage result(rows, cols);
      result.floats = gate.floats;
      result.view.data = result.floats.data();
      for (int m = 0; m < (row_by_row ? rows : 1); ++m) {
        const int count = row_by_row ? 1 : rows;
        ops.swiglu(result.view.slice(m, count),
                   ConstRows{up.view.row(m), count, cols, up.view.stride});
        ops.add(result.view.slice(m, count),
                ConstRows{up.view.row(m), count, cols, up.view.stride});
      }
      return result;
    };
    const Storage together = apply(CpuOps(pick(2, 5)), false);
    expect_close(together.view, apply(kReference, false).view, 1e-6);
    expect_same_bits(apply(CpuOps(1), true).view, together.view, "swiglu and add");
  }
}

// Pages of keys and values, filled with whatever: NaN where nothing has been written.
struct Cache {
  Cache(const KvLayout& layout, int positions) {
    for (int i = 0; i * kPageSize < positions; ++i) {
      buffers.emplace_back(layout.page_floats(), NAN);
      pages.push_back(buffers.back().data());
    }
  }
  std::vector<std::vector<float>> buffers;
  std::vector<float*> pages;
};

// Three spans side by side: a verify block or prefill chunk behind some context, a diffusion block,
// and one AR step; each with pages of its own.
TEST_F(Kernels, AttentionIsTheReferenceAndItsBitsDoNotDependOnBatchOrThreads) {
  for (int trial = 0; trial < 30; ++trial) {
    const KvLayout layout{2, pick(1, 3), 2 * pick(1, 50)};
    const int heads = layout.kv_heads * pick(1, 4);
    const int kv_width = layout.kv_heads * layout.head_dim;
    const int q_width = heads * layout.head_dim;
    const int context[3] = {pick(0, 200), pick(0, 200), pick(0, 300)};
    const int rows[3] = {pick(1, 90), pick(2, 80), 1};
    std::vector<Cache> caches, blocks;
    std::vector<AttentionSpan> spans;
    int total = 0;
    for (int s = 0; s < 3; ++s) {
      caches.emplace_back(layout, context[s] + rows[s]);
      blocks.emplace_back(layout, rows[s]);
    }
    const size_t offset = layout.layer_floats();  // the second layer
    for (int s = 0; s < 3; ++s) {
      // The context, written position by position.
      const auto k = filled(context[s], kv_width, [&] { return normal(); });
      const auto v = filled(context[s], kv_width, [&] { return normal(); });
      for (int p = 0; p < context[s]; ++p) {
        const AttentionSpan one{0, 1, p, {caches[s].pages.data(), offset}, {}};
        kReference.write_kv(k.view.slice(p, 1), v.view.slice(p, 1), std::span(&one, 1), layout);
      }
      const KvPages block = s == 1 ? KvPages{blocks[s].pages.data(), 0} : KvPages{};
      spans.push_back({total, rows[s], context[s], {caches[s].pages.data(), offset}, block});
      total += rows[s];
    }
    const auto q = filled(total, q_width, [&] { return normal() * 2; });
    const auto k = filled(total, kv_width, [&] { return normal(); });
    const auto v = filled(total, kv_width, [&] { return normal(); });
    Storage got(total, q_width), want(total, q_width), apart(total, q_width);
    CpuOps(2).write_kv(k.view, v.view, spans, layout);
    CpuOps(2).attention(q.view, spans, layout, got.view);
    kReference.attention(q.view, spans, layout, want.view);
    expect_close(got.view, want.view, 1e-5);

    // Row by row: an AR row at position p is the AR step at p.
    for (const AttentionSpan& span : spans) {
      for (int i = 0; i < span.rows; ++i) {
        AttentionSpan one = span;
        one.first_row = 0;
        const int row = span.first_row + i;
        if (span.has_block()) {
          // The whole block is visible, so it is the block with its other queries changed.
          Storage queries = filled(span.rows, q_width, [&] { return normal(); });
          std::memcpy(queries.view.row(i), q.view.row(row), q_width * sizeof(float));
          Storage out(span.rows, q_width);
          CpuOps(pick(1, 4)).attention(queries.view, std::span(&one, 1), layout, out.view);
          std::memcpy(apart.view.row(row), out.view.row(i), q_width * sizeof(float));
        } else {
          one.rows = 1;
          one.first_position = span.first_position + i;
          CpuOps(pick(1, 4))
              .attention(q.view.slice(row, 1), std::span(&one, 1), layout,
                         apart.view.slice(row, 1));
        }
      }
    }
    expect_same_bits(apart.view, got.view, "attention");
  }
}

}  // namespace
}  // namespace orthrus
