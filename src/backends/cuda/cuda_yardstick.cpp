#include "backends/cuda/cuda_yardstick.h"

#include "kernels/cuda/roofline.h"

namespace orthrus::cuda {
namespace {

constexpr size_t kCopied = size_t{1} << 30;  // bytes: many times any L2

// Events belong to the device that is chosen when they are made.
int choose(int ordinal) {
  check(cudaSetDevice(ordinal), "choosing the device");
  return ordinal;
}

}  // namespace

CudaYardstick::CudaYardstick(int ordinal) : ordinal_(choose(ordinal)) {
  check_room(2.0 * kCopied, "The two ends of the copy that memory is measured with");
  from_ = DeviceArray<uint32_t>(kCopied / sizeof(uint32_t));
  to_ = DeviceArray<uint32_t>(kCopied / sizeof(uint32_t));
  check(fill_made_up(reinterpret_cast<__nv_bfloat16*>(from_.data()),
                     kCopied / sizeof(__nv_bfloat16), nullptr),
        "filling memory");
}

double CudaYardstick::seconds_of(const std::function<cudaError_t()>& enqueue) {
  constexpr const char* kWhat = "measuring the device";
  check(cudaEventRecord(begin_), kWhat);
  check(enqueue(), kWhat);
  check(cudaEventRecord(end_), kWhat);
  check(cudaEventSynchronize(end_), kWhat);
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin_, end_), kWhat);
  return milliseconds * 1e-3;
}

MachineRates CudaYardstick::measure() {
  check(cudaSetDevice(ordinal_), "choosing the device");
  MachineRates rates;
  double operations = 0;
  const double multiplying = seconds_of([&] { return multiply_all(&operations, nullptr); });
  if (operations > 0) rates.pair_flops = operations / multiplying;
  const auto copy = [&] { return copy_once(from_.data(), to_.data(), kCopied, nullptr); };
  seconds_of(copy);  // as passes, it runs once before it is timed
  rates.bytes = 2.0 * kCopied / seconds_of(copy);
  return rates;
}

}  // namespace orthrus::cuda
