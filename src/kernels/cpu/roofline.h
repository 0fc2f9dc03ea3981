// What the machine can do at most, measured: what the kernels' speeds are compared with.
#pragma once

#include <span>

namespace orthrus::cpu {

// Fused multiply-adds of float32 on `threads` threads at once, with all operands in registers, for
// some milliseconds. Returns how many floating-point operations that was, two each.
double run_multiply_adds(int threads);

// Whether the processor has an instruction for products of BF16 numbers (pair_dot-inl.h), and does
// more of them with it than with float32's. Measured at the first call, for a millisecond or two.
bool bf16_instruction_pays();

// The same of BF16 numbers added up in float32, with that instruction where it pays.
double run_pair_multiply_adds(int threads);

// The same of products of 8-bit integers added up in 32 bits.
double run_byte_multiply_adds(int threads);

// Reads memory once, on `threads` threads. Returns a sum that depends on all of it.
float read_all(std::span<const float> memory, int threads);

}  // namespace orthrus::cpu
