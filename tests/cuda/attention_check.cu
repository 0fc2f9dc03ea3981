#include <algorithm>
#include <array>
#include <cmath>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/attention.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kBlock = 130;     // slots of the longest block
constexpr int kMostRows = 620;  // of a launch
constexpr int kManyPositions = 8192;

// keys and values [count][kv_heads][dim] to slots [0, count) of pages table[0], table[1], ...
__global__ void store_kernel(const Bf16* keys, const Bf16* values, int count, int kv_heads, int dim,
                             const int* table, KvPages pages) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at >= count * kv_heads * dim) return;
  const int d = at % dim, head = at / dim % kv_heads, slot = at / dim / kv_heads;
  Bf16* const tile = pages.data + table[slot / 64] * pages.page_stride +
                     static_cast<size_t>(head) * tile_elements(dim);
  tile[tile_offset(slot % 64, d, dim)] = keys[at];
  tile[64 * dim + tile_offset(slot % 64, d, dim)] = values[at];
}

double number(Bf16 v) {
  return __bfloat162float(v);
}

// One sequence, with a query, a key and a value at each position, in scattered pages; and slots of
// a block. What is not stored is NaN.
class Case {
 public:
  Case(Checks& checks, const Heads& heads, int length)
      : checks_(checks),
        heads_(heads),
        length_(length),
        q_cols_(static_cast<size_t>(heads.heads) * heads.head_dim),
        kv_cols_(static_cast<size_t>(heads.kv_heads) * heads.head_dim),
        stride_(static_cast<size_t>(heads.kv_heads) * tile_elements(heads.head_dim)),
        q_(static_cast<size_t>(length) * q_cols_),
        base_(q_.size()),
        keys_(static_cast<size_t>(length + kBlock) * kv_cols_),
        values_(keys_.size()),
        rows_(kMostRows * q_cols_),
        out_(rows_.size()),
        block_(3 * stride_),
        spans_(kMostRows),
        span_count_(1),
        workspace_(attention_workspace_bytes(heads, kMostRows, kManyPositions)) {
    fill(q_, checks.seed + 11, 2);
    fill(keys_, checks.seed + 12, 2);
    fill(values_, checks.seed + 13);
    std::vector<int> order(static_cast<size_t>((length + 63) / 64));
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(order.size() - 1 - i);
    std::rotate(order.begin(), order.begin() + static_cast<long>(order.size() / 3), order.end());
    table_ = Array<int>(order);
    block_table_ = Array<int>(std::vector<int>{0, 1, 2});
    cache_ = Array<Bf16>(order.size() * stride_);
    workspace_.poison();
    cache_.poison(), block_.poison();
    store(keys_.data(), values_.data(), length, table_, {cache_.data(), stride_});
  }

  void run() {
    base_.poison();
    for (int p = 0; p < length_; ++p) {
      attend({{0, 1, p, 0, -1}}, {p}, {length_ + kBlock, false});
      CHECK_CUDA(cudaMemcpy(base_.data() + p * q_cols_, out_.data(), q_cols_ * sizeof(Bf16),
                            cudaMemcpyDeviceToDevice));
    }
    against_reference();
    for (const int rows : {2, 3, 4, 5, 8, 9, 16, 17, 31, 32, 33, 63, 64, 65, 128, 200, 300, 530}) {
      if (rows > length_) continue;
      const int room = length_ - rows;
      for (const int p : {0, static_cast<int>(hash(checks_.seed, rows) % (room + 1)), room}) {
        causal({{p, rows}});
      }
    }
    // Side by side.
    causal({{0, 1}, {length_ - 1, 1}, {length_ / 2, 1}});
    causal({{5, 7}, {length_ - 40, 40}, {0, 1}, {length_ / 3, 33}});
    causal({{0, std::min(length_, 250)}, {length_ - 1, 1}, {length_ / 2, 100}});
    // So many that no split need be apart: at about the same position, and anywhere.
    for (const int apart : {9, length_}) {
      std::vector<Chunk> many;
      for (int i = 0; i < 200; ++i) {
        const int rows = i % 90 == 7 ? 3 : 1;
        many.push_back(
            {length_ - rows - static_cast<int>(hash(checks_.seed, i) % (apart - rows)), rows});
      }
      causal(many);
    }
    for (const int rows : {1, 2, 8, 16, 32, 33, 64, 100, 128}) {
      for (const int p : {0, 1, 63, 64, 65, 256, length_ - 3}) diffusion(p, rows);
    }
  }

 private:
  struct Chunk {
    int position, rows;
  };
  // What the spans don't say: the longest context, and whether they are taken to be one. How the
  // work is dealt out depends on it.
  struct Launch {
    int positions;
    bool alone;
  };
  std::array<Launch, 3> launches() const {
    return {{{length_ + kBlock, false}, {length_ + kBlock, true}, {kManyPositions, false}}};
  }

  void store(const Bf16* keys, const Bf16* values, int count, const Array<int>& table,
             KvPages pages) {
    const int size = count * static_cast<int>(kv_cols_);
    store_kernel<<<(size + 255) / 256, 256>>>(keys, values, count, heads_.kv_heads, heads_.head_dim,
                                              table.data(), pages);
    CHECK_CUDA(cudaGetLastError());
  }

  // The rows of `spans` in out_, the query of span i's rows being those from queries[i] on.
  void attend(const std::vector<KvSpan>& spans, const std::vector<int>& queries,
              const Launch& launch) {
    int rows = 0;
    const int count = static_cast<int>(spans.size());
    for (size_t i = 0; i < spans.size(); ++i) {
      CHECK_CUDA(cudaMemcpy(rows_.data() + spans[i].first_row * q_cols_,
                            q_.data() + queries[i] * q_cols_,
                            spans[i].rows * q_cols_ * sizeof(Bf16), cudaMemcpyDeviceToDevice));
      rows = std::max(rows, spans[i].first_row + spans[i].rows);
    }
    CHECK_CUDA(cudaMemcpy(spans_.data(), spans.data(), spans.size() * sizeof(KvSpan),
                          cudaMemcpyHostToDevice));
    CHECK_CUDA(cudaMemcpy(span_count_.data(), &count, sizeof count, cudaMemcpyHostToDevice));
    out_.poison();
    const KvBatch batch = {spans_.data(),
                           span_count_.data(),
                           table_.data(),
                           {cache_.data(), stride_},
                           {block_.data(), stride_}};
    CHECK_CUDA(attention(rows_.data(), heads_, batch, out_.data(), workspace_.data(), rows,
                         launch.positions, launch.alone, nullptr));
  }

  void causal(const std::vector<Chunk>& chunks) {
    std::vector<KvSpan> spans;
    std::vector<int> queries;
    int row = 0;
    for (const Chunk& c : chunks) {
      spans.push_back({row, c.rows, c.position, 0, -1});
      queries.push_back(c.position);
      row += c.rows;
    }
    for (const Launch& launch : launches()) {
      attend(spans, queries, launch);
      for (const KvSpan& span : spans) {
        const auto different = count_different<uint16_t>(
            out_.data() + span.first_row * q_cols_, base_.data() + span.first_position * q_cols_,
            span.rows * q_cols_);
        checks_.expect(different == 0,
                       "attention %d/%d/%d: %d rows at %d of %zu spans, for %d: %llu differ",
                       heads_.heads, heads_.kv_heads, heads_.head_dim, span.rows,
                       span.first_position, spans.size(), launch.positions, different);
      }
    }
  }

  // The query of `row`, over positions [0, cached) and block slots [0, slots).
  double error(const std::vector<Bf16>& got, size_t at, int query, int cached, int slots,
               int head) {
    const int dim = heads_.head_dim, kv_head = head / (heads_.heads / heads_.kv_heads);
    const Bf16* const x = host_q_.data() + query * q_cols_ + head * dim;
    std::vector<double> scores;
    double top = -INFINITY;
    const auto row_of = [&](int i) {
      return static_cast<size_t>(i < cached ? i : length_ + i - cached) * kv_cols_ + kv_head * dim;
    };
    for (int i = 0; i < cached + slots; ++i) {
      double score = 0;
      for (int d = 0; d < dim; ++d) score += number(x[d]) * number(host_keys_[row_of(i) + d]);
      scores.push_back(score / std::sqrt(dim));
      top = std::max(top, scores.back());
    }
    double total = 0, worst = 0;
    for (double& s : scores) total += s = std::exp(s - top);
    for (int d = 0; d < dim; ++d) {
      double sum = 0;
      for (int i = 0; i < cached + slots; ++i) {
        sum += scores[i] * number(host_values_[row_of(i) + d]);
      }
      const double off = std::abs(number(got[at + head * dim + d]) - sum / total);
      worst = off <= worst ? worst : off;
    }
    return worst;
  }

  void against_reference() {
    host_q_ = q_.host(), host_keys_ = keys_.host(), host_values_ = values_.host();
    const auto got = base_.host();
    double worst = 0;
    for (int i = 0; i < 12; ++i) {
      const int p = i < 3    ? i
                    : i == 3 ? length_ - 1
                             : static_cast<int>(hash(checks_.seed, i) % length_);
      for (int h = 0; h < heads_.heads; h += 3) {
        const double off = error(got, p * q_cols_, p, p + 1, 0, h);
        worst = off <= worst ? worst : off;
      }
    }
    checks_.expect(worst < 0.01, "attention %d/%d/%d: error %g", heads_.heads, heads_.kv_heads,
                   heads_.head_dim, worst);
  }

  // A block alone, then beside others.
  void diffusion(int position, int rows) {
    if (position < 0 || position > length_ || rows > length_) return;
    block_.poison();
    store(keys_.data() + length_ * kv_cols_, values_.data() + length_ * kv_cols_, rows,
          block_table_, {block_.data(), stride_});
    const int all_positions = length_ + kBlock;
    attend({{0, rows, position, 0, 0}}, {0}, {all_positions, false});
    const auto got = out_.host();
    double worst = 0;
    for (int i = 0; i < 3; ++i) {
      const int row = i * (rows - 1) / 2, head = (i * 5 + rows) % heads_.heads;
      const double off = error(got, row * q_cols_, row, position, rows, head);
      worst = off <= worst ? worst : off;
    }
    checks_.expect(worst < 0.01, "attention %d/%d/%d: block of %d at %d: error %g", heads_.heads,
                   heads_.kv_heads, heads_.head_dim, rows, position, worst);
    const Array<Bf16> want(got);
    const auto expect_same = [&](int first_row, const Launch& launch) {
      const auto different =
          count_different<uint16_t>(out_.data() + first_row * q_cols_, want.data(), rows * q_cols_);
      checks_.expect(different == 0,
                     "attention %d/%d/%d: block of %d at %d, row %d, for %d: %llu differ",
                     heads_.heads, heads_.kv_heads, heads_.head_dim, rows, position, first_row,
                     launch.positions, different);
    };
    for (const Launch& launch : launches()) {
      attend({{0, rows, position, 0, 0}}, {0}, launch);
      expect_same(0, launch);
      attend({{0, 9, 1, 0, -1}, {9, rows, position, 0, 0}, {9 + rows, 70, length_ - 70, 0, -1}},
             {1, 0, length_ - 70}, launch);
      expect_same(9, launch);
    }
  }

  Checks& checks_;
  Heads heads_;
  int length_;
  size_t q_cols_, kv_cols_, stride_;
  Array<Bf16> q_, base_, keys_, values_, rows_, out_, cache_, block_;
  Array<int> table_, block_table_;
  Array<KvSpan> spans_;
  Array<int> span_count_;
  Array<char> workspace_;
  std::vector<Bf16> host_q_, host_keys_, host_values_;
};

}  // namespace

void check_attention(Checks& checks) {
  for (const Heads heads : {Heads{32, 8, 128},
                            {16, 8, 128},
                            {8, 1, 128},
                            {14, 2, 64},
                            {6, 2, 64},
                            {4, 2, 32},
                            {4, 4, 16}}) {
    Case(checks, heads, 700).run();
  }
  // 1024 positions with the block, which clusters may have at most.
  Case(checks, {16, 8, 128}, 1024 - kBlock).run();
  Case(checks, {14, 2, 64}, 1024 - kBlock).run();
  Case(checks, {16, 8, 128}, 2900).run();
  Case(checks, {14, 2, 64}, 2900).run();
}

}  // namespace orthrus::cuda
