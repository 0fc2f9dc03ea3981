// A CUDA device: choosing one, its memory, and errors.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/cuda/runs.h"

namespace orthrus::cuda {

// Throws DeviceLost saying what failed, and why, where `error` is one; std::bad_alloc where the
// device has too little memory.
void check(cudaError_t error, std::string_view what);

// Makes device `ordinal` this thread's. Throws Error(kSystem) where there is no such device or no
// driver for it, and Error(kUnsupported) for one that the kernels were not compiled for.
void use_device(int ordinal);

// Bytes of the current device.
double free_memory();

// Throws Error(kSystem), naming what is needed and what is free, unless the device has so much.
void check_room(double bytes, std::string_view for_what);

// Memory of the device. Throws std::bad_alloc when there is too little.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(size_t size) : size_(size) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)), "allocating memory");
  }
  DeviceArray(const T* from, size_t size) : DeviceArray(size) { upload(from, size, 0); }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceArray() { cudaFree(data_); }

  T* data() const { return data_; }
  size_t size() const { return size_; }

  void upload(const T* from, size_t count, size_t at) {
    check(cudaMemcpy(data_ + at, from, count * sizeof(T), cudaMemcpyHostToDevice), "uploading");
  }
  void upload(const Runs::Piece& piece) {
    static_assert(sizeof(T) == 1);
    // Steps are limited to 2 GiB, which one row needn't be.
    if (piece.rows == 1) return upload(piece.data, piece.bytes, piece.at);
    check(cudaMemcpy2D(data_ + piece.at, piece.step, piece.data, piece.bytes, piece.bytes,
                       piece.rows, cudaMemcpyHostToDevice),
          "uploading");
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

// What is done in one is done in order.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) {
    check(cudaEventCreateWithFlags(&event_, flags), "making an event");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// Memory of the host that the device copies to and from by itself.
template <typename T>
class PinnedArray {
 public:
  PinnedArray() = default;
  explicit PinnedArray(size_t size) : size_(size) {
    check(cudaMallocHost(reinterpret_cast<void**>(&data_), size * sizeof(T)),
          "allocating pinned memory");
  }
  PinnedArray(PinnedArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  PinnedArray& operator=(PinnedArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~PinnedArray() { cudaFreeHost(data_); }

  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace orthrus::cuda
