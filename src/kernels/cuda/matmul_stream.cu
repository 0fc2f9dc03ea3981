// Products with BF16 weights, whose boxes the tensor cores read from shared memory.
#include "kernels/cuda/matmul_stream.cuh"

namespace orthrus::cuda {

template <int kWarpgroups>
struct Bf16Boxes {
  static constexpr int kGroups = kWarpgroups;
  static constexpr int kTileBytes = kGroups * kSubtileBytes;
  static constexpr bool kWidens = false;
  __device__ static constexpr float sum_factor() { return 1; }
  static constexpr int most_blocks(int tokens) {
    if (kGroups > 2) return 1;
    return tokens <= 32 ? 4 : 2;
  }

  CUtensorMap map;

  class Tiles {
   public:
    __device__ Tiles(const Bf16Boxes& weights, const MatmulJob& job, int tile, int k_block)
        : map_(&weights.map) {
      for (int piece = 0; piece < kGroups; ++piece) {
        row_[piece] = row_group_of(job, tile, piece, kGroups) * kSubtileRows;
        column_[piece] = k_block_of(job, k_block, piece) * kBlockK;
      }
    }
    __device__ void fetch(uint32_t to, uint32_t barrier, uint64_t policy) {
      for (int piece = 0; piece < kGroups; ++piece) {
        copy_box(to + piece * kSubtileBytes, map_, column_[piece], row_[piece], barrier, policy);
        column_[piece] += kBlockK;
      }
    }

   private:
    const CUtensorMap* map_;
    int column_[kGroups], row_[kGroups];
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
  CUtensorMap map;
  if (const cudaError_t error = make_weights_map(w, &map); error != cudaSuccess) return error;
  return launch_stream(x, Bf16Boxes<2>{map}, Bf16Boxes<3>{map}, job, stream);
}

}  // namespace orthrus::cuda
