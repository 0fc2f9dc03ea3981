#include "model/cuda/cuda_machine.h"

#include "kernels/cuda/roofline.h"

namespace orthrus::cuda {
namespace {

constexpr size_t kCopied = size_t{1} << 30;  // bytes: many times any L2

}  // namespace

CudaMachine::CudaMachine(int ordinal) : ordinal_(ordinal) {
  check(cudaSetDevice(ordinal), "choosing the device");
  check_room(2.0 * kCopied, "The two ends of the copy that memory is measured with");
  from_ = DeviceArray<uint32_t>(kCopied / sizeof(uint32_t));
  to_ = DeviceArray<uint32_t>(kCopied / sizeof(uint32_t));
  check(fill_made_up(reinterpret_cast<__nv_bfloat16*>(from_.data()),
                     kCopied / sizeof(__nv_bfloat16), nullptr),
        "filling memory");
  check(cudaEventCreate(&begin_), "making an event");
  check(cudaEventCreate(&end_), "making an event");
}

CudaMachine::~CudaMachine() {
  cudaEventDestroy(begin_);
  cudaEventDestroy(end_);
}

MachineRates CudaMachine::measure() {
  check(cudaSetDevice(ordinal_), "choosing the device");
  check(cudaEventRecord(begin_), "measuring the memory");
  check(copy_once(from_.data(), to_.data(), kCopied, nullptr), "measuring the memory");
  check(cudaEventRecord(end_), "measuring the memory");
  check(cudaEventSynchronize(end_), "measuring the memory");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin_, end_), "measuring the memory");
  MachineRates rates;
  rates.bytes = 2.0 * kCopied / milliseconds * 1e3;
  return rates;
}

}  // namespace orthrus::cuda
