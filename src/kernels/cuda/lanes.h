// What the lanes of a warp do side by side, on the device; on the host one lane after the other, so
// that a test can run the same code there.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.h"

namespace orthrus::cuda {

// All lanes call these, with functions of the lane. What one of them writes in a call, others read
// in later ones only.
struct Lanes {
  static constexpr int kCount = 32;

  // Calls f(lane).
  template <typename F>
  ORTHRUS_HOST_DEVICE static void each(F f) {
#ifdef __CUDA_ARCH__
    __syncwarp();
    f(own());
    __syncwarp();
#else
    for (int lane = 0; lane < kCount; ++lane) f(lane);
#endif
  }
  // By one of them.
  template <typename F>
  ORTHRUS_HOST_DEVICE static void one(F f) {
    each([&](int lane) {
      if (lane == 0) f();
    });
  }

  // The lane whose number, which is not negative, is the largest; of equals the first.
  template <typename F>
  ORTHRUS_HOST_DEVICE static int best(F f) {
#ifdef __CUDA_ARCH__
    const unsigned bits = __float_as_uint(f(own()));
    const unsigned most = __reduce_max_sync(~0u, bits);
    return __ffs(static_cast<int>(__ballot_sync(~0u, bits == most))) - 1;
#else
    int lane = 0;
    for (int i = 1; i < kCount; ++i) lane = f(i) > f(lane) ? i : lane;
    return lane;
#endif
  }

  template <typename F>
  ORTHRUS_HOST_DEVICE static float max(F f) {
#ifdef __CUDA_ARCH__
    // Numbers below zero, as integers, are in the other order.
    const auto turned = [](int bits) { return bits ^ ((bits >> 31) & 0x7FFFFFFF); };
    return __int_as_float(turned(__reduce_max_sync(~0u, turned(__float_as_int(f(own()))))));
#else
    float most = f(0);
    for (int i = 1; i < kCount; ++i) most = std::fmax(most, f(i));
    return most;
#endif
  }

  // Of both functions, side by side.
  struct Sums {
    float first, second;
  };
  template <typename F, typename G>
  ORTHRUS_HOST_DEVICE static Sums sums(F f, G g) {
#ifdef __CUDA_ARCH__
    Sums sums = {f(own()), g(own())};
    for (int step = kCount / 2; step > 0; step /= 2) {
      sums.first += __shfl_xor_sync(~0u, sums.first, step);
      sums.second += __shfl_xor_sync(~0u, sums.second, step);
    }
    return sums;
#else
    Sums sums = {};
    for (int i = 0; i < kCount; ++i) sums.first += f(i), sums.second += g(i);
    return sums;
#endif
  }

  // Adds one to what several lanes add to, and gives what it was.
  ORTHRUS_HOST_DEVICE static int count(int& counter) {
#ifdef __CUDA_ARCH__
    return atomicAdd(&counter, 1);
#else
    return counter++;
#endif
  }

 private:
#ifdef __CUDA_ARCH__
  __device__ static int own() {
    return static_cast<int>(threadIdx.x) % kCount;
  }
#endif
};

// For functions that each lane runs by itself, with what they find together; on the host a warp has
// one lane.
struct OwnLane {
#ifdef __CUDA_ARCH__
  static constexpr int kCount = 32;
#else
  static constexpr int kCount = 1;
#endif

  ORTHRUS_HOST_DEVICE static int own() {
#ifdef __CUDA_ARCH__
    return static_cast<int>(threadIdx.x) % kCount;
#else
    return 0;
#endif
  }

  ORTHRUS_HOST_DEVICE static int sum(int v) {
#ifdef __CUDA_ARCH__
    return __reduce_add_sync(~0u, v);
#else
    return v;
#endif
  }

  ORTHRUS_HOST_DEVICE static int max(int v) {
#ifdef __CUDA_ARCH__
    return __reduce_max_sync(~0u, v);
#else
    return v;
#endif
  }

  // Which of the lanes has the item `index`, each having `items` in order, and the item's index
  // among those; or, where none has it, kCount and its index among what follows.
  ORTHRUS_HOST_DEVICE static int of_item(int items, int& index) {
#ifdef __CUDA_ARCH__
    const int lane = own();
    int up_to = items;
    for (int step = 1; step < kCount; step *= 2) {
      const int other = __shfl_up_sync(~0u, up_to, step);
      if (lane >= step) up_to += other;
    }
    const unsigned beyond = __ballot_sync(~0u, index < up_to);
    const int found = beyond != 0 ? __ffs(static_cast<int>(beyond)) - 1 : kCount;
    index -= __shfl_sync(~0u, found < kCount ? up_to - items : up_to, min(found, kCount - 1));
    return found;
#else
    if (index < items) return 0;
    index -= items;
    return kCount;
#endif
  }
};

}  // namespace orthrus::cuda
