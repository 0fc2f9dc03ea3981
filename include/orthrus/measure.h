// What the machine can do at most, and what forward passes make of it.
#pragma once

#include <cstdint>
#include <vector>

#include "orthrus/dtype.h"

namespace orthrus {

enum class PassKind : uint8_t {
  kAr,       // a plain step (1 row), or a verify pass: the LM head runs for every row
  kDraft,    // a block in the diffusion view: the LM head runs for every row but the last
  kPrefill,  // a chunk of a prompt: the LM head runs for its last row
};

struct PassShape {
  PassKind kind = PassKind::kAr;
  int rows = 1;
  int context = 0;  // positions that are in the cache before
};

// What the machine gave, on as many threads.
struct MachineRates {
  double bytes = 0;       // a second, of memory read once
  double flops = 0;       // a second, of float32 multiply-adds in registers, two each
  double pair_flops = 0;  // the same of products of BF16 numbers, as BF16 weights use them
  double byte_flops = 0;  // the same of products of 8-bit integers, as Q8_0 weights use them
};

// Medians over rounds, in each of which everything was measured once.
struct PassMeasurement {
  PassShape shape;
  DType weights = DType::kF32;  // that it used, as Engine::weights() tells it
  MachineRates machine;         // measured before each of these passes
  double seconds = 0;
  double bytes = 0;  // that it has to read: each weight, key and value once
  double flops = 0;  // that it has to do: two for each weight and row, four for each query head's
                     // dimension and visible position
};

struct Roofline {
  MachineRates machine;  // of the whole measurement
  std::vector<PassMeasurement> passes;
};

}  // namespace orthrus
