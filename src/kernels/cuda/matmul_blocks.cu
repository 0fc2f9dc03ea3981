// Products with weights of block formats, widened in registers: an operand of the tensor cores goes
// from shared memory to registers once, as it is stored, and no BF16 weight is ever in memory.
//
// Two numbers take a multiply-add, and of kQ8 one permutation, of kQ4 one mask and a quarter of a
// shift, of kQ5 and kQ6 some four more. With scales, loads and waiting a tile of kQ4 takes a warp
// some 85 instructions. Tokens cost what they cost with BF16 weights.
#include "kernels/cuda/block_forms.cuh"
#include "kernels/cuda/matmul_stream.cuh"

namespace orthrus::cuda {
namespace {

template <typename Form, int kWarpgroups>
struct Subtiles {
  static constexpr int kGroups = kWarpgroups;
  static constexpr int kTileBytes = kGroups * Form::kBytes;
  static constexpr bool kWidens = true;
  __device__ static constexpr float sum_factor() { return kSumFactor; }
  static constexpr int most_blocks(int tokens) {
    if (kGroups > 2) return 1;
    // One token is normed by the block, which takes more registers than three blocks could have.
    return tokens > 1 && tokens <= 16 ? 3 : 2;
  }

  const uint8_t* data;

  class Tiles {
   public:
    __device__ Tiles(const Subtiles& weights, const MatmulJob& job, int tile, int k_block) {
      for (int piece = 0; piece < kGroups; ++piece) {
        int group = row_group_of(job, tile, piece, kGroups);
        // The last tile may have fewer rows.
        if constexpr (kGatedOnly<Subtiles>)
          group = min(group, (2 * job.out_rows - 1) / kSubtileRows);
        const size_t rows = static_cast<size_t>(group) * job.k_blocks;
        next_[piece] = weights.data + (rows + k_block_of(job, k_block, piece)) * Form::kBytes;
      }
    }
    __device__ void fetch(uint32_t to, uint32_t barrier, uint64_t policy) {
      for (int piece = 0; piece < kGroups; ++piece) {
        copy_bytes(to + piece * Form::kBytes, next_[piece], Form::kBytes, barrier, policy);
        next_[piece] += Form::kBytes;
      }
    }

   private:
    const uint8_t* next_[kGroups];
  };

  // While the tensor cores multiply a tile, the next is widened.
  template <int N, typename Ready>
  __device__ static void multiply(float (&acc)[kSums<N>], RingReader<Subtiles, N> ring, int group,
                                  int count, const Ready& ready) {
    if constexpr (N <= 64 || kGroups == 3) {
      Operands a, b;
      ring.wait();
      widen_steps<Form>(Form::load(ring.weights() + group * Form::kBytes), a);
      ready();
      int i = 0;
      for (; i + 2 < count; i += 2) {
        multiply_tile<N>(acc, a, b, ring, group, i > 0);
        multiply_tile<N>(acc, b, a, ring, group, true);
      }
      if (i + 1 < count) {
        multiply_tile<N>(acc, a, b, ring, group, i > 0);
        multiply_last<N>(acc, b, ring, true);
      } else {
        multiply_last<N>(acc, a, ring, i > 0);
      }
    } else {
      ready();
      multiply_by_steps<N>(acc, ring, group, count);
    }
  }

 private:
  // Of a tile: four steps of 16 columns.
  using Operands = uint32_t[4][4];

  template <int N>
  __device__ static void issue(float (&acc)[kSums<N>], const Operands& a, uint32_t tokens,
                               bool add) {
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      wgmma<kColumns<N>>(acc, a[k], whole_descriptor(tokens + k * kNext16), add || k > 0);
    }
    wgmma_commit();
  }

  // acc (+)= the ring's tile, widened in `a`, and the ring's next one to `b`.
  template <int N>
  __device__ static void multiply_tile(float (&acc)[kSums<N>], const Operands& a, Operands& b,
                                       RingReader<Subtiles, N>& ring, int group, bool add) {
    const uint32_t tokens = ring.tokens_at();
    const int stage = ring.stage();
    ring.next();
    ring.wait();
    const auto next = Form::load(ring.weights() + group * Form::kBytes);
    issue<N>(acc, a, tokens, add);
    widen_steps<Form>(next, b);
    wgmma_wait<0>();
    ring.give_back(stage);
  }

  template <int N>
  __device__ static void multiply_last(float (&acc)[kSums<N>], const Operands& a,
                                       RingReader<Subtiles, N>& ring, bool add) {
    issue<N>(acc, a, ring.tokens_at(), add);
    wgmma_wait<0>();
    ring.give_back(ring.stage());
  }

  // With many tokens two blocks on a multiprocessor have registers for one step's operands only:
  // while one warpgroup widens, the other multiplies.
  template <int N>
  __device__ static void multiply_by_steps(float (&acc)[kSums<N>], RingReader<Subtiles, N>& ring,
                                           int group, int count) {
    for (int i = 0; i < count; ++i, ring.next()) {
      ring.wait();
      const uint8_t* const subtile = ring.weights() + group * Form::kBytes;
      multiply_step<N, 0>(acc, subtile, ring.tokens_at(), i > 0);
      multiply_step<N, 1>(acc, subtile, ring.tokens_at(), true);
      multiply_step<N, 2>(acc, subtile, ring.tokens_at(), true);
      multiply_step<N, 3>(acc, subtile, ring.tokens_at(), true);
      ring.give_back(ring.stage());
    }
  }

  template <int N, int kStep>
  __device__ static void multiply_step(float (&acc)[kSums<N>], const uint8_t* subtile,
                                       uint32_t tokens, bool add) {
    uint32_t a[4];
    Form::template widen<kStep>(Form::load(subtile), a);
    wgmma_fence();
    wgmma<kColumns<N>>(acc, a, whole_descriptor(tokens + kStep * kNext16), add);
    wgmma_commit();
    wgmma_wait<0>();
  }
};

template <typename Form>
cudaError_t launch_form(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                        cudaStream_t stream) {
  const auto* const data = static_cast<const uint8_t*>(w.data);
  return launch_stream(x, Subtiles<Form, 2>{data}, Subtiles<Form, 3>{data}, job, stream);
}

}  // namespace

cudaError_t matmul_stream_blocks(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                                 cudaStream_t stream) {
  switch (w.form) {
    case WeightForm::kQ8:
      return launch_form<Q8Form>(x, w, job, stream);
    case WeightForm::kQ6:
      return launch_form<Q6Form>(x, w, job, stream);
    case WeightForm::kQ5:
      return launch_form<Q5Form>(x, w, job, stream);
    case WeightForm::kQ4:
      return launch_form<Q4Form>(x, w, job, stream);
    case WeightForm::kBf16:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace orthrus::cuda
