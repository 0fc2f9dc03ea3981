#include "kernels/cpu/instruction_sets.h"

#include <hwy/highway.h>
#include <hwy/targets.h>

namespace orthrus::cpu {

std::vector<int64_t> instruction_sets() {
  return hwy::SupportedAndGeneratedTargets();
}

bool has_fused_multiply_add(int64_t set) {
#if HWY_ARCH_X86
  return set != HWY_SSE4;
#else
  return set != 0;
#endif
}

std::string_view instruction_set_in_use() {
  // Highway's bits: the lower, the better.
  const int64_t sets = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(sets & -sets);
}

}  // namespace orthrus::cpu
