// Products with BF16 weights, whose boxes the tensor cores read from shared memory.
#include "kernels/cuda/matmul_stream.cuh"

namespace orthrus::cuda {

struct Bf16Boxes {
  static constexpr int kGroups = 2;
  static constexpr int kTileBytes = kGroups * kSubtileBytes;
  static constexpr bool kWidens = false;
  __device__ static constexpr float sum_factor() { return 1; }
  static constexpr int most_blocks(int tokens) { return tokens <= 32 ? 4 : 2; }

  CUtensorMap map;

  class Tiles {
   public:
    __device__ Tiles(const Bf16Boxes& weights, const MatmulJob& job, int tile, int k_block)
        : map_(&weights.map) {
      for (int half = 0; half < 2; ++half) {
        row_[half] = row_group_of(job, tile, half) * kSubtileRows;
        column_[half] = k_block_of(job, k_block, half) * kBlockK;
      }
    }
    __device__ void fetch(uint32_t to, uint32_t barrier, uint64_t policy) {
      for (int half = 0; half < 2; ++half) {
        copy_box(to + half * kSubtileBytes, map_, column_[half], row_[half], barrier, policy);
        column_[half] += kBlockK;
      }
    }

   private:
    const CUtensorMap* map_;
    int column_[2], row_[2];
  };

  // Memory is what is waited for, so a tile's place is given back as soon as can be.
  template <int N, typename Ready>
  __device__ static void multiply(float (&acc)[kSums<N>], RingReader<Bf16Boxes, N> ring, int group,
                                  int count, const Ready& ready) {
    ready();
    for (int i = 0; i < count; ++i, ring.next()) {
      ring.wait();
      const uint32_t rows = ring.weights_at() + (group * kSubtileBytes >> 4);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < kBlockK / 16; ++k) {
        wgmma<kColumns<N>>(acc, whole_descriptor(rows + k * kNext16),
                           whole_descriptor(ring.tokens_at() + k * kNext16), i > 0 || k > 0);
      }
      wgmma_commit();
      wgmma_wait<0>();
      ring.give_back(ring.stage());
    }
  }
};

cudaError_t matmul_stream(const Tokens& x, const MatrixView& w, const MatmulJob& job,
                          cudaStream_t stream) {
  Bf16Boxes weights;
  if (const cudaError_t error = make_weights_map(w, &weights.map); error != cudaSuccess) {
    return error;
  }
  return launch_stream(x, weights, job, stream);
}

}  // namespace orthrus::cuda
