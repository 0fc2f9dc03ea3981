// Attention of draft trees: passes of trees, plain sequences and blocks, as a die makes them,
// against each span alone, bit by bit, and against a plain reference in double.
#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/attention.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

constexpr int kKeys = 8192;     // that sequences begin with; each row of a pass has one more
constexpr int kMostRows = 600;  // of a pass
constexpr int kManyPositions = 8192;

// Key and value number `key` belong into a slot of a page.
struct Stored {
  int key, page, slot;
};

__global__ void store_kernel(const Bf16* keys, const Bf16* values, const Stored* stored,
                             size_t count, int kv_heads, int dim, KvPages pages) {
  const size_t at = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
  const size_t columns = static_cast<size_t>(kv_heads) * dim;
  if (at >= count * columns) return;
  const Stored to = stored[at / columns];
  const int column = static_cast<int>(at % columns), head = column / dim, d = column % dim;
  Bf16* const tile =
      pages.data + to.page * pages.page_stride + static_cast<size_t>(head) * tile_elements(dim);
  tile[tile_offset(to.slot, d, dim)] = keys[to.key * columns + column];
  tile[kTilePositions * dim + tile_offset(to.slot, d, dim)] = values[to.key * columns + column];
}

int pages_of(int positions) {
  return (positions + kTilePositions - 1) / kTilePositions;
}

// The spans of a pass, what each of its rows sees, and where that lies.
struct Pass {
  std::vector<KvSpan> spans;
  std::vector<int> span_of;            // by row
  std::vector<std::vector<int>> keys;  // by row
  std::vector<int> table;
  std::vector<Stored> cache, block;
  int cache_pages = 0, block_pages = 0, positions = 0;

  int rows() const { return static_cast<int>(keys.size()); }

  // Rows of a sequence that are behind these keys. Where the span is a branch, it has pages of its
  // own from the first row's on, and before that those of the span that it leaves.
  void add(int rows, std::vector<int> seen, int known, int left_span = -1) {
    const int position = static_cast<int>(seen.size()), first_row = this->rows();
    KvSpan span = {first_row, rows, position, static_cast<int>(table.size())};
    span.behind = position - known;
    for (int i = 0; i < rows; ++i) {
      seen.push_back(kKeys + first_row + i);
      keys.push_back(seen);
    }
    add_pages(seen, left_span < 0 ? 0 : position / kTilePositions, left_span);
    finish(span, position + rows);
  }

  void add_block(int rows, std::vector<int> seen) {
    const int position = static_cast<int>(seen.size()), first_row = this->rows();
    const KvSpan span = {first_row, rows, position, static_cast<int>(table.size()), block_pages};
    add_pages(seen, 0, -1);
    for (int i = 0; i < rows; ++i) {
      seen.push_back(kKeys + first_row + i);
      block.push_back({seen.back(), block_pages + i / kTilePositions, i % kTilePositions});
    }
    block_pages += pages_of(rows);
    keys.insert(keys.end(), static_cast<size_t>(rows), seen);
    finish(span, position + rows);
  }

 private:
  void add_pages(const std::vector<int>& seen, int first_own, int left_span) {
    const int count = static_cast<int>(seen.size());
    for (int i = 0; i < pages_of(count); ++i) {
      const bool own = i >= first_own;
      table.push_back(own ? cache_pages++ : table[spans[left_span].first_page + i]);
      const int begin = i * kTilePositions;
      for (int p = begin; own && p < std::min(begin + kTilePositions, count); ++p) {
        cache.push_back({seen[p], table.back(), p - begin});
      }
    }
  }
  void finish(const KvSpan& span, int end) {
    span_of.insert(span_of.end(), static_cast<size_t>(span.rows), static_cast<int>(spans.size()));
    spans.push_back(span);
    positions = std::max(positions, end);
  }
};

class Trees {
 public:
  Trees(Checks& checks, const Heads& heads)
      : checks_(checks),
        heads_(heads),
        random_(hash(checks.seed, heads.heads * heads.head_dim)),
        q_cols_(static_cast<size_t>(heads.heads) * heads.head_dim),
        kv_cols_(static_cast<size_t>(heads.kv_heads) * heads.head_dim),
        stride_(static_cast<size_t>(heads.kv_heads) * tile_elements(heads.head_dim)),
        q_(kMostRows * q_cols_),
        keys_((kKeys + kMostRows) * kv_cols_),
        values_(keys_.size()),
        out_(q_.size()),
        alone_(q_.size()),
        span_count_(1),
        workspace_(attention_workspace_bytes(heads, kMostRows, kManyPositions)) {
    fill(q_, checks.seed + 21, 2);
    fill(keys_, checks.seed + 22, 2);
    fill(values_, checks.seed + 23);
    host_q_ = q_.host(), host_keys_ = keys_.host(), host_values_ = values_.host();
  }

  void run() {
    for (const int most_rows : {12, 40, 64, 128, 256, kMostRows}) {
      for (int i = 0; i < 3; ++i) check(some_trees(pick(1, 4), most_rows, 6000));
      check(some_trees(64, most_rows, 1500));
    }
    // For so few rows and positions, tiles are attended to side by side.
    most_slack_ = 0;
    for (int i = 0; i < 6; ++i) check(some_trees(pick(1, 3), 12, 700));
  }

 private:
  int pick(int least, int most) {
    return least + static_cast<int>(random_() % static_cast<unsigned>(most - least + 1));
  }

  // Ends anywhere, but most often near the border of a page or of a split.
  int some_length(int most) {
    const int run = std::array{1, kTilePositions, 4 * kTilePositions}[pick(0, 2)];
    return std::clamp(pick(0, most / run) * run + pick(-3, 3), 0, most);
  }

  // Of so many sequences at most, most of them with trees, which are as large as rows are left.
  Pass some_trees(int sequences, int most_rows, int most_known) {
    Pass pass;
    for (int s = 0; s < sequences && pass.rows() < most_rows; ++s) {
      const auto room = [&](int rows) { return std::min(rows, most_rows - pass.rows()); };
      const int known = some_length(most_known), first_key = pick(0, kKeys - most_known);
      std::vector<int> seen(known);
      for (int p = 0; p < known; ++p) seen[p] = first_key + p;
      const int kind = pick(0, 9);
      const int trunk = room(pick(0, 3) == 0 ? pick(1, 130) : pick(1, sequences > 4 ? 3 : 16));
      if (kind == 0) {
        pass.add_block(trunk, seen);
        continue;
      }
      const int first_row = pass.rows();
      const auto first_span = pass.spans.size();
      pass.add(trunk, seen, known);
      for (int b = kind < 3 ? 0 : pick(0, sequences > 4 ? 3 : 60); b > 0 && room(1) > 0; --b) {
        const int parent = pick(first_row, pass.rows() - 1);
        const int rows = room(pick(0, 15) == 0 ? pick(1, 70) : pick(1, 3));
        pass.add(rows, pass.keys[parent], known, pass.span_of[parent]);
      }
      pass.spans[first_span].tree_rows = pass.rows() - first_row;
    }
    return pass;
  }

  void store(const std::vector<Stored>& stored, Array<Bf16>& to) {
    to.poison();
    if (stored.empty()) return;
    const Array<Stored> on_device(stored);
    const size_t blocks = (stored.size() * kv_cols_ + 255) / 256;
    store_kernel<<<static_cast<unsigned>(blocks), 256>>>(
        keys_.data(), values_.data(), on_device.data(), stored.size(), heads_.kv_heads,
        heads_.head_dim, {to.data(), stride_});
    CHECK_CUDA(cudaGetLastError());
    CHECK_CUDA(cudaDeviceSynchronize());
  }

  // These spans, the first row of which is the pass's row `first_row`.
  void attend(const std::vector<KvSpan>& spans, int first_row, int rows, const Array<Bf16>& out,
              int positions) {
    const int count = static_cast<int>(spans.size()),
              bucket = std::min(rows + pick(0, most_slack_), kMostRows);
    const Array<KvSpan> on_device(spans);
    CHECK_CUDA(cudaMemcpy(span_count_.data(), &count, sizeof count, cudaMemcpyHostToDevice));
    workspace_.poison();
    const KvBatch batch = {on_device.data(),
                           span_count_.data(),
                           table_.data(),
                           {cache_.data(), stride_},
                           {block_.data(), stride_}};
    const size_t at = first_row * q_cols_;
    CHECK_CUDA(attention(q_.data() + at, heads_, batch, out.data() + at, workspace_.data(), bucket,
                         positions, spans.size() == 1, nullptr));
    CHECK_CUDA(cudaDeviceSynchronize());
  }

  void check(const Pass& pass) {
    cache_ = Array<Bf16>(pass.cache_pages * stride_);
    block_ = Array<Bf16>(pass.block_pages * stride_);
    store(pass.cache, cache_), store(pass.block, block_);
    table_ = Array<int>(pass.table);
    alone_.poison();
    for (const KvSpan& span : pass.spans) {
      KvSpan alone = span;
      alone.first_row = alone.tree_rows = alone.behind = 0;
      attend({alone}, span.first_row, span.rows, alone_, pass.positions);
    }
    against_reference(pass);
    // How splits are dealt out depends on the longest context.
    for (const int positions : {pass.positions, kManyPositions}) {
      out_.poison();
      attend(pass.spans, 0, pass.rows(), out_, positions);
      for (const KvSpan& span : pass.spans) {
        const size_t at = span.first_row * q_cols_;
        const auto different =
            count_different<uint16_t>(out_.data() + at, alone_.data() + at, span.rows * q_cols_);
        checks_.expect(
            different == 0,
            "attention of trees %d/%d/%d: %d rows at %d, %d behind their tree's first, of "
            "%zu spans of %d rows, for %d: %llu differ",
            heads_.heads, heads_.kv_heads, heads_.head_dim, span.rows, span.first_position,
            span.behind, pass.spans.size(), pass.rows(), positions, different);
      }
    }
  }

  void against_reference(const Pass& pass) {
    const auto got = alone_.host();
    double worst = 0;
    for (int i = 0; i < 4; ++i) {
      const double off = error(got, pass, pick(0, pass.rows() - 1), pick(0, heads_.heads - 1));
      worst = off <= worst ? worst : off;
    }
    checks_.expect(worst < 0.01, "attention of trees %d/%d/%d: error %g", heads_.heads,
                   heads_.kv_heads, heads_.head_dim, worst);
  }

  double error(const std::vector<Bf16>& got, const Pass& pass, int row, int head) const {
    const int dim = heads_.head_dim, kv_head = head / (heads_.heads / heads_.kv_heads);
    const size_t at = row * q_cols_ + head * dim;
    const std::vector<int>& seen = pass.keys[row];
    const auto number = [](const std::vector<Bf16>& of, size_t i) {
      return static_cast<double>(__bfloat162float(of[i]));
    };
    std::vector<double> weights;
    double top = -INFINITY, total = 0, worst = 0;
    for (const int key : seen) {
      double score = 0;
      for (int d = 0; d < dim; ++d) {
        score += number(host_q_, at + d) * number(host_keys_, key * kv_cols_ + kv_head * dim + d);
      }
      weights.push_back(score / std::sqrt(dim));
      top = std::max(top, weights.back());
    }
    for (double& w : weights) total += w = std::exp(w - top);
    for (int d = 0; d < dim; ++d) {
      double sum = 0;
      for (size_t i = 0; i < seen.size(); ++i) {
        sum += weights[i] * number(host_values_, seen[i] * kv_cols_ + kv_head * dim + d);
      }
      const double off = std::abs(number(got, at + d) - sum / total);
      worst = off <= worst ? worst : off;
    }
    return worst;
  }

  Checks& checks_;
  Heads heads_;
  std::mt19937 random_;
  int most_slack_ = 40;  // rows of a bucket beyond those there are
  size_t q_cols_, kv_cols_, stride_;
  Array<Bf16> q_, keys_, values_, out_, alone_, cache_, block_;
  Array<int> table_, span_count_;
  Array<char> workspace_;
  std::vector<Bf16> host_q_, host_keys_, host_values_;
};

}  // namespace

void check_tree_attention(Checks& checks) {
  for (const Heads heads : {Heads{32, 8, 128},
                            {16, 8, 128},
                            {8, 1, 128},
                            {14, 2, 64},
                            {6, 2, 64},
                            {4, 2, 32},
                            {4, 4, 16}}) {
    Trees(checks, heads).run();
  }
}

}  // namespace orthrus::cuda
