#include "kernels/cuda/device_features.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/logits_row.cuh"
#include "kernels/cuda/philox.cuh"
#include "kernels/cuda/select.h"

namespace orthrus::cuda {
namespace {

struct Noisy {
  double value;
  int id;

  __device__ bool after(const Noisy& other) const {
    return value < other.value || (value == other.value && id > other.id);
  }
};

template <int kBlocks>
class Selection {
 public:
  using Row = LogitsRow<kBlocks>;

  struct Shared {
    typename Row::Shared row;
    Noisy warp[kRowWarps];
    Noisy block;
  };

  __device__ Selection(const float* logits, int vocabulary, const SelectRow& how, Shared& shared)
      : row_(logits, vocabulary, how, shared.row), logits_(logits), how_(how), s_(shared) {}

  __device__ void choose(Choice* out) {
    if (!row_.find_top()) {
      if (row_.first_thread()) *out = {-1, 0, 0};
      return;
    }
    if (!how_.greedy) row_.filter();
    const int id = how_.greedy ? row_.likeliest() : draw();
    float probability = 0;
    if (how_.probability) {
      const auto total = static_cast<double>(row_.kept_mass());
      const auto mass = static_cast<double>(row_.mass_of(row_.score_at(id)));
      probability = static_cast<float>(mass / total);
    }
    if (row_.first_thread()) *out = {id, logits_[id], probability};
  }

 private:
  // Gumbel-max over the tokens kept, of which the likeliest is one.
  __device__ int draw() {
    const auto noise = [this](int id) {
      const uint4 four = philox(how_.seed, how_.position, static_cast<uint32_t>(id) / 4);
      const uint32_t bits[4] = {four.x, four.y, four.z, four.w};
      return bits[id % 4];
    };
    const int top = row_.likeliest();
    // Every thread begins with the same token, so that few others need more than a bound.
    Noisy best = {static_cast<double>(row_.top()) + gumbel(noise(top)), top};
    row_.for_each_quad([&](const float(&score)[4], int quad, int count) {
      bool any = false;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        any |= i < count && static_cast<double>(score[i]) + kMostGumbel >= best.value;
      }
      if (!any) return;
      const uint4 four = philox(how_.seed, how_.position, static_cast<uint32_t>(quad));
      const uint32_t bits[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const auto value = static_cast<double>(score[i]);
        if (i >= count || value + gumbel_bound(bits[i]) < best.value) continue;
        if (!row_.kept(score[i], 4 * quad + i)) continue;
        const Noisy noisy = {value + gumbel(bits[i]), 4 * quad + i};
        if (best.after(noisy)) best = noisy;
      }
    });
    const auto better = [](const Noisy& a, const Noisy& b) { return a.after(b) ? b : a; };
    for (int step = 16; step > 0; step /= 2) {
      best = better(best,
                    {__shfl_xor_sync(~0u, best.value, step), __shfl_xor_sync(~0u, best.id, step)});
    }
    if (threadIdx.x % 32 == 0) s_.warp[threadIdx.x / 32] = best;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int w = 1; w < kRowWarps; ++w) best = better(best, s_.warp[w]);
      s_.block = best;
    }
    row_.sync();
    best = *at_rank(&s_.block, 0);
    for (int rank = 1; rank < kBlocks; ++rank) best = better(best, *at_rank(&s_.block, rank));
    row_.sync();  // all have read
    return best.id;
  }

  Row row_;
  const float* logits_;
  SelectRow how_;
  Shared& s_;
};

template <int kBlocks>
__global__ void __launch_bounds__(kRowThreads)
    select_kernel(const float* logits, size_t stride, int vocabulary, const SelectRow* rows,
                  Choice* out, const int* count) {
#if __CUDA_ARCH__ < 900
  if constexpr (kBlocks > 1) return;  // never launched: there are no clusters
  constexpr int kOfRow = 1;
#else
  constexpr int kOfRow = kBlocks;
#endif
  __shared__ typename Selection<kOfRow>::Shared shared;
  let_successor_start();
  const int m = static_cast<int>(blockIdx.x) / kOfRow;
  wait_for_predecessor();
  if (m >= *count) return;
  const SelectRow how = rows[m];
  if (how.temperature <= 0 || how.link >= 0) return;
  Selection<kOfRow>(logits + m * stride, vocabulary, how, shared).choose(out + m);
}

}  // namespace

cudaError_t select(const float* logits, size_t stride, int vocabulary, const SelectRow* rows,
                   Choice* out, int bucket, const int* count, cudaStream_t stream) {
  if (has_wgmma() && vocabulary > kSmallVocabulary) {
    return launch(select_kernel<kManyBlocks>, bucket * kManyBlocks, kRowThreads, 0, kManyBlocks,
                  stream, logits, stride, vocabulary, rows, out, count);
  }
  return launch(select_kernel<1>, bucket, kRowThreads, 0, 1, stream, logits, stride, vocabulary,
                rows, out, count);
}

}  // namespace orthrus::cuda
