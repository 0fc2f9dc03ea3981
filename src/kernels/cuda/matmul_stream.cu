// Products with BF16 weights, whose boxes the tensor cores read from shared memory.
#include "kernels/cuda/matmul_stream.cuh"

namespace orthrus::cuda {

struct Bf16Boxes {
  static constexpr int kTileBytes = 2 * kSubtileBytes;
  static constexpr int kMostBlocks = 4;

  CUtensorMap map;

  __device__ void fetch(uint8_t* to, const MatmulJob& job, int tile, int k_block, uint64_t* barrier,
                        uint64_t policy) const {
    for (int half = 0; half < 2; ++half) {
      copy_box(to + half * kSubtileBytes, &map, k_block * kBlockK,
               first_weight_row(job, tile, half), barrier, policy);
    }
  }

  template <int N>
  __device__ static void multiply(float (&acc)[N / 2], const uint8_t*, uint64_t at, int group,
                                  uint64_t tokens, bool first) {
    const uint64_t rows = at + (group * kSubtileBytes >> 4);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kBlockK / 16; ++k) {
      wgmma<N>(acc, rows + k * kNext16, tokens + k * kNext16, !first || k > 0);
    }
  }
};

cudaError_t matmul_stream(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                          cudaStream_t stream) {
  Bf16Boxes weights;
  if (const cudaError_t error = make_weights_map(w, &weights.map); error != cudaSuccess) {
    return error;
  }
  return launch_stream(x, w.cols, weights, job, stream);
}

}  // namespace orthrus::cuda
