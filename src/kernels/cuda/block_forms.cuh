// Numbers of block formats, widened in registers to the BF16 operands of tensor cores.
//
// A BF16 multiply-add of integer, scale and minimum makes a number, which is rounded once
// (block_layout.h). So a product has the bits of the same product with a matrix that was widened to
// BF16 beforehand, whatever the number of tokens.
#pragma once

#include <cuda_bf16.h>

#include "kernels/cuda/block_layout.h"

namespace orthrus::cuda {

// a * b + c, of two numbers each.
__device__ inline uint32_t fma_bf16(uint32_t a, uint32_t b, uint32_t c) {
  const auto pair = [](const uint32_t& v) { return reinterpret_cast<const __nv_bfloat162&>(v); };
  const __nv_bfloat162 sum = __hfma2(pair(a), pair(b), pair(c));
  return reinterpret_cast<const uint32_t&>(sum);
}

__device__ inline uint32_t multiply_bf16(uint32_t a, uint32_t b) {
  constexpr uint32_t kMinusZero = 0x80008000;
  return fma_bf16(a, b, kMinusZero);
}

// The lower or the upper one of two, twice.
template <int kWhich>
__device__ uint32_t twice(uint32_t two) {
  return __byte_perm(two, 0, kWhich == 0 ? 0x1010 : 0x3232);
}

// A subtile's array of what lanes have, one element each, or of what four lanes of a row share.
template <typename T>
__device__ T of_lane(const uint8_t* from, int element) {
  return reinterpret_cast<const T*>(from)[element];
}

// Each form: load() gives what the calling lane, a thread of a warpgroup, needs of a subtile, which
// lies at a multiple of 16 bytes; widen() the operands of a step of 16 columns.
struct Q8Form {
  static constexpr int kBytes = Q8Layout::kBytes;

  struct Numbers {
    uint4 bytes[2];
    uint32_t scales[2];  // by row; of a row two
  };

  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const auto scales = of_lane<uint2>(subtile + Q8Layout::kScalesAt, thread / 4);
    return {{of_lane<uint4>(subtile, thread),
             of_lane<uint4>(subtile + Q8Layout::kNumberBytes / 2, thread)},
            {scales.x, scales.y}};
  }

  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
    constexpr uint32_t kMinus128 = 0x80808080;  // as integers are
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint4& of_row = numbers.bytes[row];
      const uint32_t bytes[] = {of_row.x, of_row.y, of_row.z, of_row.w};
      const uint32_t scale = twice<kStep / 2>(numbers.scales[row]);
      const uint32_t start = multiply_bf16(scale, kMinus128);
      a[row] = fma_bf16(__byte_perm(bytes[kStep], 0, 0x4140), scale, start);
      a[row + 2] = fma_bf16(__byte_perm(bytes[kStep], 0, 0x4342), scale, start);
    }
  }
};

struct Q4Form {
  static constexpr int kBytes = Q4Layout::kBytes;

  struct Numbers {
    uint2 halves[2];                  // by row
    uint32_t scales[2], minimums[2];  // of a row two each
  };

  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const auto halves = of_lane<uint4>(subtile, thread);
    const auto scales = of_lane<uint4>(subtile + Q4Layout::kScalesAt, thread / 4);
    return {
        {{halves.x, halves.y}, {halves.z, halves.w}}, {scales.x, scales.z}, {scales.y, scales.w}};
  }

  // High halves are 16 times the integers that they are.
  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
    constexpr uint32_t kSixteenth = 0x3d803d80;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint2& of_row = numbers.halves[row];
      const uint32_t halves = (kStep < 2 ? of_row.x : of_row.y) >> kStep % 2 * 8;
      const uint32_t scale = twice<kStep / 2>(numbers.scales[row]);
      const uint32_t minimum = twice<kStep / 2>(numbers.minimums[row]);
      a[row] = fma_bf16(halves & 0x000f000f, scale, minimum);
      a[row + 2] = fma_bf16(halves & 0x00f000f0, multiply_bf16(scale, kSixteenth), minimum);
    }
  }
};

// Halves of a row, of a step's four numbers the two near or far ones, with upper bits that are at
// their places in bytes, as two integers. Both steps of a word are put together at once.
template <int kStep, int kFar>
__device__ uint32_t two_integers(uint2 halves, uint32_t upper) {
  const uint32_t lower = (kStep < 2 ? halves.x : halves.y) >> kFar * 4 & 0x0f0f0f0f;
  return __byte_perm(lower | upper, 0, kStep % 2 == 0 ? 0x4240 : 0x4341);
}

// Bit `kFrom` of each byte to bit 4.
template <int kFrom>
__device__ uint32_t to_bit_4(uint32_t bits) {
  return kFrom < 4 ? bits << (4 - kFrom) : bits >> (kFrom - 4);
}

struct Q5Form {
  static constexpr int kBytes = Q5Layout::kBytes;

  struct Numbers {
    uint2 halves[2];
    uint32_t fifths;  // of both rows
    uint32_t scales[2], minimums[2];
  };

  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const auto halves = of_lane<uint4>(subtile, thread);
    const auto scales = of_lane<uint4>(subtile + Q5Layout::kScalesAt, thread / 4);
    return {{{halves.x, halves.y}, {halves.z, halves.w}},
            of_lane<uint32_t>(subtile + Q5Layout::kFifthsAt, thread),
            {scales.x, scales.z},
            {scales.y, scales.w}};
  }

  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
    widen_row<kStep, 0>(numbers, a);
    widen_row<kStep, 1>(numbers, a);
  }

 private:
  template <int kStep, int kRow>
  __device__ static void widen_row(const Numbers& numbers, uint32_t (&a)[4]) {
    constexpr int kBit = kRow * 4 + kStep / 2 * 2, kMask = 0x10101010;
    const uint2& halves = numbers.halves[kRow];
    const uint32_t scale = twice<kStep / 2>(numbers.scales[kRow]);
    const uint32_t minimum = twice<kStep / 2>(numbers.minimums[kRow]);
    const uint32_t near = two_integers<kStep, 0>(halves, to_bit_4<kBit>(numbers.fifths) & kMask);
    const uint32_t far = two_integers<kStep, 1>(halves, to_bit_4<kBit + 1>(numbers.fifths) & kMask);
    a[kRow] = fma_bf16(near, scale, minimum);
    a[kRow + 2] = fma_bf16(far, scale, minimum);
  }
};

struct Q6Form {
  static constexpr int kBytes = Q6Layout::kBytes;

  struct Numbers {
    uint2 halves[2];
    uint32_t pairs[2];
    uint2 scales[2];  // of a row four
  };

  __device__ static Numbers load(const uint8_t* subtile) {
    const int thread = static_cast<int>(threadIdx.x) % 128;
    const auto halves = of_lane<uint4>(subtile, thread);
    const auto pairs = of_lane<uint2>(subtile + Q6Layout::kPairsAt, thread);
    const auto scales = of_lane<uint4>(subtile + Q6Layout::kScalesAt, thread / 4);
    return {{{halves.x, halves.y}, {halves.z, halves.w}},
            {pairs.x, pairs.y},
            {{scales.x, scales.y}, {scales.z, scales.w}}};
  }

  template <int kStep>
  __device__ static void widen(const Numbers& numbers, uint32_t (&a)[4]) {
    constexpr uint32_t kMinus32 = 0x80208020, kMask = 0x30303030;
    constexpr int kBit = kStep / 2 * 4;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const uint2& of_row = numbers.scales[row];
      const uint32_t scale = twice<kStep % 2>(kStep < 2 ? of_row.x : of_row.y);
      const uint32_t start = multiply_bf16(scale, kMinus32), pairs = numbers.pairs[row];
      const uint2& halves = numbers.halves[row];
      const uint32_t near = two_integers<kStep, 0>(halves, to_bit_4<kBit>(pairs) & kMask);
      const uint32_t far = two_integers<kStep, 1>(halves, to_bit_4<kBit + 2>(pairs) & kMask);
      a[row] = fma_bf16(near, scale, start);
      a[row + 2] = fma_bf16(far, scale, start);
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
