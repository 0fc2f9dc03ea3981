#include "kernels/cpu/cpu_ops.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

namespace orthrus {

void FreeBuffer::operator()(float* data) const {
  std::free(data);
}

Buffer CpuOps::allocate(size_t floats) const {
  constexpr size_t kAlign = 64;  // a cache line
  if (floats > std::numeric_limits<size_t>::max() / sizeof(float) - kAlign) throw std::bad_alloc();
  const size_t bytes = (floats * sizeof(float) + kAlign - 1) / kAlign * kAlign;
  auto* data = static_cast<float*>(std::aligned_alloc(kAlign, bytes == 0 ? kAlign : bytes));
  if (data == nullptr) throw std::bad_alloc();
  std::memset(data, 0, bytes);
  return Buffer(data);
}

}  // namespace orthrus
