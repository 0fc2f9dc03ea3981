#include "backends/cuda/device.h"

#include <fmt/core.h>

#include <new>

#include "backends/device_lost.h"
#include "orthrus/error.h"

namespace orthrus::cuda {

void check(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next call would report it again
  if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
  throw DeviceLost(fmt::format("CUDA, {}: {}.", what, cudaGetErrorString(error)));
}

void use_device(int ordinal) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    if (driver == 0) {
      throw Error(ErrorKind::kSystem,
                  "There is no NVIDIA driver, so no CUDA device; the device cpu needs none.");
    }
    throw Error(
        ErrorKind::kSystem,
        fmt::format("The NVIDIA driver supports CUDA {}.{}; this program needs {}.{} or "
                    "later.",
                    driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10));
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    throw Error(ErrorKind::kSystem, "There is no CUDA device; the device cpu needs none.");
  }
  check(error, "looking for devices");
  if (ordinal >= count) {
    throw Error(ErrorKind::kSystem,
                fmt::format("CUDA device {} does not exist; valid is cuda:0 to cuda:{}.", ordinal,
                            count - 1));
  }
  check(cudaSetDevice(ordinal), "choosing the device");
  int major = 0, minor = 0, shared = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal), "asking");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal), "asking");
  check(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, ordinal),
        "asking");
  constexpr int kLeastShared = 160 << 10;  // the kernels keep tiles in it
  if (major < 8 || shared < kLeastShared) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("device cuda:{} has compute capability {}.{} and {} KiB of shared "
                            "memory a block; the kernels need 8.0 and {} KiB, which an A100, an "
                            "H100 and later data centre GPUs have.",
                            ordinal, major, minor, shared >> 10, kLeastShared >> 10));
  }
}

double free_memory() {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free memory");
  return static_cast<double>(free);
}

void check_room(double bytes, std::string_view for_what) {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free memory");
  constexpr double kGiB = 1 << 30;
  if (bytes > static_cast<double>(free)) {
    throw Error(ErrorKind::kSystem,
                fmt::format("{} need {:.1f} GiB of the device's memory; {:.1f} of {:.1f} GiB are "
                            "free.",
                            for_what, bytes / kGiB, static_cast<double>(free) / kGiB,
                            static_cast<double>(total) / kGiB));
  }
}

}  // namespace orthrus::cuda
