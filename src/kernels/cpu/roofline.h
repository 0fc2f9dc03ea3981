// What the machine can do at most, measured: what the kernels' speeds are compared with.
#pragma once

#include <span>

#include "kernels/cpu/crew.h"

namespace orthrus::cpu {

// Fused multiply-adds of float32 on all threads of a crew, with all operands in registers, for some
// milliseconds. Returns how many floating-point operations that was, two each. These throw as
// Crews::run does.
double run_multiply_adds(const Crews& crews);

// Whether the processor has an instruction for products of BF16 numbers (pair_dot-inl.h), and does
// more of them with it than with float32's. Measured at the first call, for a millisecond or two.
bool bf16_instruction_pays();

// The same of BF16 numbers added up in float32, with that instruction where it pays.
double run_pair_multiply_adds(const Crews& crews);

// The same of products of 8-bit integers added up in 32 bits.
double run_byte_multiply_adds(const Crews& crews);

// Reads memory once, on all threads of a crew. Returns a sum that depends on all of it.
float read_all(std::span<const float> memory, const Crews& crews);

}  // namespace orthrus::cpu
