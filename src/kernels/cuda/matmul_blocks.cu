// Products with weights of block formats, widened in registers: an operand of the tensor cores goes
// from shared memory to registers once, as it is stored, and no BF16 weight is ever in memory.
//
// A number of kQ8 takes 4.1 instructions (one to make it a float, one to scale it, half to round
// two of them, the rest for scales, loads and waiting), and at 2.8 TB/s a multiprocessor gets 11.4
// numbers a cycle, which is 47 of 128 lanes. Tokens cost what they cost with BF16 weights.
#include "kernels/cuda/block_forms.cuh"
#include "kernels/cuda/matmul_stream.cuh"

namespace orthrus::cuda {
namespace {

template <typename Form>
struct Subtiles {
  static constexpr int kTileBytes = 2 * Form::kBytes;
  static constexpr int kMostBlocks = 3;

  const uint8_t* data;

  __device__ void fetch(uint8_t* to, const MatmulJob& job, int tile, int k_block, uint64_t* barrier,
                        uint64_t policy) const {
    for (int half = 0; half < 2; ++half) {
      const size_t rows = static_cast<size_t>(row_group_of(job, tile, half)) * job.k_blocks;
      copy_bytes(to + half * Form::kBytes, data + (rows + k_block) * Form::kBytes, Form::kBytes,
                 barrier, policy);
    }
  }

  template <int N>
  __device__ static void multiply(float (&acc)[N / 2], const uint8_t* tile, uint64_t, int group,
                                  uint64_t tokens, bool first) {
    const typename Form::Numbers numbers = Form::load(tile + group * Form::kBytes);
    if constexpr (N <= 64) {
      steps<N, 0, 4>(acc, numbers, tokens, !first);
    } else {  // registers for a step's operands
      steps<N, 0, 1>(acc, numbers, tokens, !first);
      wgmma_commit();
      wgmma_wait<0>();
      steps<N, 1, 1>(acc, numbers, tokens, true);
      wgmma_commit();
      wgmma_wait<0>();
      steps<N, 2, 1>(acc, numbers, tokens, true);
      wgmma_commit();
      wgmma_wait<0>();
      steps<N, 3, 1>(acc, numbers, tokens, true);
    }
  }

 private:
  template <int N, int kFirst, int kCount>
  __device__ static void steps(float (&acc)[N / 2], const typename Form::Numbers& numbers,
                               uint64_t tokens, bool add) {
    uint32_t a[kCount][4];
    widen_steps<Form, kFirst>(numbers, a);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      wgmma<N>(acc, a[i], tokens + (kFirst + i) * kNext16, add || i > 0);
    }
  }
};

}  // namespace

cudaError_t matmul_stream_blocks(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                                 cudaStream_t stream) {
  const auto* const data = static_cast<const uint8_t*>(w.data);
  switch (w.form) {
    case WeightForm::kQ8:
      return launch_stream(x, w.cols, Subtiles<Q8Form>{data}, job, stream);
    case WeightForm::kQ4K:
      return launch_stream(x, w.cols, Subtiles<Q4KForm>{data}, job, stream);
    case WeightForm::kQ6K:
      return launch_stream(x, w.cols, Subtiles<Q6KForm>{data}, job, stream);
    case WeightForm::kBf16:
      break;
  }
  return cudaErrorInvalidValue;
}

}  // namespace orthrus::cuda
