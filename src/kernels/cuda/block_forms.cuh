// Numbers of block formats, widened in registers to the BF16 operands of tensor cores.
//
// A number is rounded once: the float32 that the format says it is, integer times scale, which is
// exact, becomes the nearest BF16. So a product has the bits of the same product with a matrix that
// was widened to BF16 beforehand, whatever the number of tokens.
#pragma once

#include <cuda_bf16.h>
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
  static constexpr float kSumFactor = 1;

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

// Two numbers each.
__device__ inline uint32_t fma_bf16(uint32_t a, uint32_t b, uint32_t c) {
  const auto pair = [](const uint32_t& v) { return reinterpret_cast<const __nv_bfloat162&>(v); };
  const __nv_bfloat162 sum = __hfma2(pair(a), pair(b), pair(c));
  return reinterpret_cast<const uint32_t&>(sum);
}

struct Q8Bf16Form {
  static constexpr int kBytes = Q8Bf16Layout::kBytes;
  // What sums of products are to be multiplied by.
  static constexpr float kSumFactor = Q8Bf16Layout::kSumFactor;

  struct Numbers {
    uint4 bytes[2];
    uint2 scales;  // by row; of a row two
  };

  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const uint4* const bytes = reinterpret_cast<const uint4*>(subtile) + thread;
    return {{bytes[0], bytes[Q8Layout::kNumberBytes / 2 / sizeof(uint4)]},
            reinterpret_cast<const uint2*>(subtile + Q8Layout::kNumberBytes)[thread / 4]};
  }

  // Byte times scale, from which 128 scales are taken within the multiply-add.
  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
    constexpr uint32_t kMinus128Steps = 0x80808080, kMinusZero = 0x80008000;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint4& of_row = numbers.bytes[row];
      const uint32_t bytes[] = {of_row.x, of_row.y, of_row.z, of_row.w};
      const uint32_t scales = row == 0 ? numbers.scales.x : numbers.scales.y;
      const uint32_t scale = __byte_perm(scales, 0, kStep < 2 ? 0x1010 : 0x3232);
      const uint32_t start = fma_bf16(scale, kMinus128Steps, kMinusZero);
      a[row] = fma_bf16(__byte_perm(bytes[kStep], 0, 0x4140), scale, start);
      a[row + 2] = fma_bf16(__byte_perm(bytes[kStep], 0, 0x4342), scale, start);
    }
  }
};

// A byte that is less than 128 as a float of 128 and it.
template <int kByte>
__device__ float float_above_128(uint32_t bytes) {
  constexpr uint32_t k128 = 0x43000000;
  return __uint_as_float(__byte_perm(bytes, k128, 0x7044 | kByte << 8));
}

// Byte `kByte` itself.
template <int kByte>
__device__ float float_of_byte(uint32_t bytes) {
  constexpr uint32_t k2To23 = 0x4b000000;
  return __uint_as_float(__byte_perm(bytes, k2To23, 0x7650 | kByte)) - 0x1p23f;
}

// Four bits of each of a step's four numbers, as bytes.
template <int kStep>
__device__ uint32_t halves_of(uint2 halves) {
  return (kStep < 2 ? halves.x : halves.y) >> kStep % 2 * 4 & 0x0f0f0f0f;
}

struct Q4KForm {
  static constexpr int kBytes = Q4KLayout::kBytes;
  static constexpr float kSumFactor = 1;

  // By row and 32 columns, where they are two.
  struct Numbers {
    uint2 halves[2];
    float scales[2][2], minimums[2][2];  // minimums with a minus
  };

  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const uint4 halves = reinterpret_cast<const uint4*>(subtile)[thread];
    const uint4 scales = reinterpret_cast<const uint4*>(subtile + Q4KLayout::kScalesAt)[thread / 4];
    Numbers numbers;
    numbers.halves[0] = {halves.x, halves.y}, numbers.halves[1] = {halves.z, halves.w};
    widen_scales(scales.x, scales.y, numbers.scales[0], numbers.minimums[0]);
    widen_scales(scales.z, scales.w, numbers.scales[1], numbers.minimums[1]);
    return numbers;
  }

  // Integer times scale is exact, and the minimum is taken from it with the one rounding that the
  // float32 number has.
  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint32_t bytes = halves_of<kStep>(numbers.halves[row]);
      const float scale = numbers.scales[row][kStep / 2],
                  minimum = numbers.minimums[row][kStep / 2];
      a[row] = pack_bf16(__fmaf_rn(float_of_byte<0>(bytes), scale, minimum),
                         __fmaf_rn(float_of_byte<1>(bytes), scale, minimum));
      a[row + 2] = pack_bf16(__fmaf_rn(float_of_byte<2>(bytes), scale, minimum),
                             __fmaf_rn(float_of_byte<3>(bytes), scale, minimum));
    }
  }

 private:
  // `integers`: two scales and two minimums. Their products with an f16 are exact.
  __device__ static void widen_scales(uint32_t halves, uint32_t integers, float (&scales)[2],
                                      float (&minimums)[2]) {
    const float2 both = floats_of_halves(halves);
    const float scale_start = -128 * both.x, minimum_start = 128 * both.y;
    scales[0] = __fmaf_rn(float_above_128<0>(integers), both.x, scale_start);
    scales[1] = __fmaf_rn(float_above_128<1>(integers), both.x, scale_start);
    minimums[0] = __fmaf_rn(float_above_128<2>(integers), -both.y, minimum_start);
    minimums[1] = __fmaf_rn(float_above_128<3>(integers), -both.y, minimum_start);
  }
};

struct Q6KForm {
  static constexpr int kBytes = Q6KLayout::kBytes;
  static constexpr float kSumFactor = 1;

  struct Numbers {
    uint2 halves[2];
    uint32_t pairs[2], integers[2];  // by row; scales of 16 columns as they are stored
    float scales[2];
  };

  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const uint4 halves = reinterpret_cast<const uint4*>(subtile)[thread];
    const uint2 pairs = reinterpret_cast<const uint2*>(subtile + Q6KLayout::kPairsAt)[thread];
    const uint2 integers =
        reinterpret_cast<const uint2*>(subtile + Q6KLayout::kIntegersAt)[thread / 4];
    const float2 scales = floats_of_halves(
        reinterpret_cast<const uint32_t*>(subtile + Q6KLayout::kScalesAt)[thread / 4]);
    return {{{halves.x, halves.y}, {halves.z, halves.w}},
            {pairs.x, pairs.y},
            {integers.x, integers.y},
            {scales.x, scales.y}};
  }

  // A number is 32 less than its six bits, and they stand 128 too high. All is exact: a scale has
  // 18 bits, its product with 160 has 21, and the number 24.
  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint32_t pairs = numbers.pairs[row] >> 2 * kStep & 0x03030303;
      const uint32_t bytes = halves_of<kStep>(numbers.halves[row]) | pairs << 4;
      const float scale = __fmaf_rn(biased_float<kStep>(numbers.integers[row]), numbers.scales[row],
                                    scale_start(numbers.scales[row]));
      const float start = -160 * scale;
      a[row] = pack_bf16(__fmaf_rn(float_above_128<0>(bytes), scale, start),
                         __fmaf_rn(float_above_128<1>(bytes), scale, start));
      a[row + 2] = pack_bf16(__fmaf_rn(float_above_128<2>(bytes), scale, start),
                             __fmaf_rn(float_above_128<3>(bytes), scale, start));
    }
  }
};

// The operands of a subtile's four steps.
template <typename Form>
__device__ void widen_steps(const typename Form::Numbers& numbers, uint32_t (&a)[4][4]) {
  Form::template widen<0>(numbers, a[0]);
  Form::template widen<1>(numbers, a[1]);
  Form::template widen<2>(numbers, a[2]);
  Form::template widen<3>(numbers, a[3]);
}

}  // namespace orthrus::cuda
