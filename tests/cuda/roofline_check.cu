#include <algorithm>
#include <cmath>
#include <cstring>

#include "checks.h"
#include "device.cuh"
#include "kernels/cuda/device_features.h"
#include "kernels/cuda/matmul_job.cuh"
#include "kernels/cuda/roofline.h"

namespace orthrus::cuda {
namespace {

using Bf16 = __nv_bfloat16;

void check_copy(Checks& checks) {
  constexpr size_t kPast = 8;  // numbers behind the end that must not be written
  // Less than a thread each, and more than a round of all threads that is not whole.
  for (const size_t count : {size_t{4}, size_t{4} * 1000003}) {
    Array<float> from(count), to(count + kPast);
    fill(from, checks.seed + count);
    to.poison();
    CHECK_CUDA(copy_once(from.data(), to.data(), count * sizeof(float), nullptr));
    const auto want = from.host(), got = to.host();
    checks.expect(std::memcmp(want.data(), got.data(), count * sizeof(float)) == 0,
                  "copy_once %zu: not a copy", count);
    checks.expect(std::all_of(got.end() - kPast, got.end(), [](float v) { return std::isnan(v); }),
                  "copy_once %zu: wrote past the end", count);
  }
}

void check_fill(Checks& checks) {
  constexpr size_t kCount = 1000003;
  Array<Bf16> to(kCount + 1);
  to.poison();
  CHECK_CUDA(fill_made_up(to.data(), kCount, nullptr));
  const auto got = to.host();
  size_t wrong = 0;
  double sum = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const float v = __bfloat162float(got[i]);
    wrong += !(v >= 0.5f && v < 1);
    sum += v;
  }
  checks.expect(wrong == 0, "fill_made_up: %zu outside of 0.5 to 1", wrong);
  checks.expect(std::abs(sum / kCount - 0.748) < 0.005, "fill_made_up: mean %f", sum / kCount);
  checks.expect(std::isnan(__bfloat162float(got.back())), "fill_made_up: wrote past the end");
}

}  // namespace

void check_roofline(Checks& checks) {
  check_copy(checks);
  check_fill(checks);
  double operations = 0;
  CHECK_CUDA(multiply_all(&operations, nullptr));  // traps where sums are no numbers
  CHECK_CUDA(cudaDeviceSynchronize());
  checks.expect((operations > 0) == has_wgmma(), "multiply_all: %f operations", operations);
}

}  // namespace orthrus::cuda
