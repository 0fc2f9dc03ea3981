// What the programs that run on a device share: memory, random contents, errors.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

namespace orthrus::cuda {

inline void check(cudaError_t error, const char* what, int line) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "line %d: %s: %s\n", line, what, cudaGetErrorString(error));
  std::exit(2);
}
#define CHECK_CUDA(call) ::orthrus::cuda::check((call), #call, __LINE__)

// An array on the device.
template <typename T>
class Array {
 public:
  Array() = default;
  explicit Array(size_t size) : size_(size) { CHECK_CUDA(cudaMalloc(&data_, size * sizeof(T))); }
  explicit Array(const std::vector<T>& from) : Array(from.size()) {
    CHECK_CUDA(cudaMemcpy(data_, from.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  Array(Array&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  Array& operator=(Array&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Array() { cudaFree(data_); }

  T* data() const { return data_; }
  size_t size() const { return size_; }
  std::vector<T> host() const {
    std::vector<T> copy(size_);
    CHECK_CUDA(cudaMemcpy(copy.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return copy;
  }
  // All bytes 0xFF: NaN in every float type.
  void poison() { CHECK_CUDA(cudaMemset(data_, 0xFF, size_ * sizeof(T))); }
  void clear() { CHECK_CUDA(cudaMemset(data_, 0, size_ * sizeof(T))); }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

__host__ __device__ inline uint32_t hash(uint64_t seed, uint64_t i) {
  uint64_t z = (seed + 1) * 0x9E3779B97F4A7C15ull + i * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return static_cast<uint32_t>((z ^ (z >> 31)) >> 16);
}

__device__ inline void assign(float& to, float value) {
  to = value;
}
__device__ inline void assign(__nv_bfloat16& to, float value) {
  to = __float2bfloat16_rn(value);
}

// Uniform in [-scale, scale), times 2^e with e uniform in [-exponents, exponents].
template <typename T>
__global__ void fill_kernel(T* to, size_t size, uint64_t seed, float scale, int exponents) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < size; i += step) {
    const float uniform = static_cast<float>(hash(seed, i)) * 0x1p-31f - 1.0f;
    const uint32_t range = 2 * static_cast<uint32_t>(exponents) + 1;
    const int exponent = static_cast<int>(hash(seed + 77, i) % range) - exponents;
    assign(to[i], ldexpf(uniform * scale, exponent));
  }
}

template <typename T>
void fill(const Array<T>& to, uint64_t seed, float scale = 1, int exponents = 0) {
  fill_kernel<<<1024, 256>>>(to.data(), to.size(), seed, scale, exponents);
  CHECK_CUDA(cudaGetLastError());
}

template <typename T>
__global__ void count_different_kernel(const T* a, const T* b, size_t size,
                                       unsigned long long* count) {
  const size_t step = static_cast<size_t>(gridDim.x) * blockDim.x;
  unsigned long long different = 0;
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < size; i += step) {
    different += a[i] != b[i];
  }
  if (different > 0) atomicAdd(count, different);
}

// Bits that differ, counted in elements of unsigned type U.
template <typename U, typename T>
unsigned long long count_different(const T* a, const T* b, size_t size) {
  static_assert(sizeof(U) == sizeof(T));
  static Array<unsigned long long> count(1);
  count.clear();
  count_different_kernel<<<256, 256>>>(reinterpret_cast<const U*>(a), reinterpret_cast<const U*>(b),
                                       size, count.data());
  CHECK_CUDA(cudaGetLastError());
  return count.host()[0];
}

}  // namespace orthrus::cuda
