// Numbers of block formats, widened in registers to the BF16 operands of tensor cores.
//
// A number is rounded once: the float32 that the format says it is, integer times scale, which is
// exact, becomes the nearest BF16. So a product has the bits of the same product with a matrix that
// was widened to BF16 beforehand, whatever the number of tokens.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/block_layout.h"
#include "kernels/cuda/ptx.cuh"

namespace orthrus::cuda {

__device__ inline float2 floats_of_halves(uint32_t halves) {
  return __half22float2(reinterpret_cast<const __half2&>(halves));
}

// Byte `kByte` of a word as a float between 2^15 and 2^15 + 255: its ulp there is 2^8 bits up.
template <int kByte>
__device__ float biased_float(uint32_t bytes) {
  constexpr uint32_t k2To15 = 0x47000000;
  return __uint_as_float(__byte_perm(bytes, k2To15, 0x7504 | kByte << 4));
}

// Where the bytes are 128 more than integers: those times the scale. `start` is scale_start(scale);
// it and the sum within the fused multiply-add are exact, having 20 bits at most.
__device__ inline float scale_start(float scale) {
  return -(0x1p15f + 128) * scale;
}

// The four numbers of a step in one row: columns 0 and 1 of a lane, and 8 further.
__device__ inline void widen_bytes(uint32_t bytes, float scale, float start, uint32_t& near,
                                   uint32_t& far) {
  near = pack_bf16(__fmaf_rn(biased_float<0>(bytes), scale, start),
                   __fmaf_rn(biased_float<1>(bytes), scale, start));
  far = pack_bf16(__fmaf_rn(biased_float<2>(bytes), scale, start),
                  __fmaf_rn(biased_float<3>(bytes), scale, start));
}

struct Q8Form {
  static constexpr int kBytes = Q8Layout::kBytes;

  // A lane's numbers of a subtile, as they are stored, and their scales, by row and 32 columns.
  struct Numbers {
    uint4 bytes[2];
    float2 scales[2];
  };

  // Of the calling lane, a thread of a warpgroup. Subtiles lie at a multiple of 16 bytes.
  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const uint4* const bytes = reinterpret_cast<const uint4*>(subtile) + thread;
    const uint2 scales =
        reinterpret_cast<const uint2*>(subtile + Q8Layout::kNumberBytes)[thread / 4];
    return {{bytes[0], bytes[Q8Layout::kNumberBytes / 2 / sizeof(uint4)]},
            {floats_of_halves(scales.x), floats_of_halves(scales.y)}};
  }

  // The operands of a step of 16 columns.
  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint4& of_row = numbers.bytes[row];
      const uint32_t bytes[] = {of_row.x, of_row.y, of_row.z, of_row.w};
      const float scale = kStep < 2 ? numbers.scales[row].x : numbers.scales[row].y;
      widen_bytes(bytes[kStep], scale, scale_start(scale), a[row], a[row + 2]);
    }
  }
};

// The operands of steps [kFirst, kFirst + kCount).
template <typename Form, int kFirst, int kCount>
__device__ void widen_steps(const typename Form::Numbers& numbers, uint32_t (&a)[kCount][4]) {
  Form::template widen<kFirst>(numbers, a[0]);
  if constexpr (kCount > 1) Form::template widen<kFirst + 1>(numbers, a[1]);
  if constexpr (kCount > 2) Form::template widen<kFirst + 2>(numbers, a[2]);
  if constexpr (kCount > 3) Form::template widen<kFirst + 3>(numbers, a[3]);
}

}  // namespace orthrus::cuda
