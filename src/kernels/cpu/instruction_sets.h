// The instruction sets that the kernels are compiled for.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace orthrus::cpu {

// Of those, what this processor has, as Highway's bits, the best first.
std::vector<int64_t> instruction_sets();

// Whether its kernels round a multiply and add once. All that do give the same bits.
bool has_fused_multiply_add(int64_t set);

// The one that kernels use: "AVX3_DL", "AVX2", ...
std::string_view instruction_set_in_use();

}  // namespace orthrus::cpu
