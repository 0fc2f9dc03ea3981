// What the machine can do at most, and what forward passes make of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "orthrus/dtype.h"

namespace orthrus {

enum class PassKind : uint8_t {
  kAr,       // a plain step (1 row), or a verify pass: the LM head runs for every row
  kDraft,    // d drafts in the diffusion view: d rows, the LM head runs for every one. A block of
             // k tokens is drafted in k - 1 rows and verified in k
  kPrefill,  // a chunk of a prompt: the LM head runs for its last row
};

struct PassShape {
  PassKind kind = PassKind::kAr;
  int rows = 1;
  int context = 0;  // positions that are in the cache before

  bool operator==(const PassShape&) const = default;
};

// What the machine gave: a processor on as many threads. What is not measured is none.
struct MachineRates {
  // A second, of memory: read once on the processor; on a CUDA device copied, bytes read and
  // written both counted.
  double bytes = 0;
  std::optional<double> flops;  // a second, of float32 multiply-adds in registers, two each
  // Of products of BF16 numbers, as BF16 weights use them; on a device that has wgmma (an H100) of
  // tiles that lie in shared memory.
  std::optional<double> pair_flops;
  std::optional<double> byte_flops;  // of products of 8-bit integers, as Q8_0 weights use them
};

// Medians over rounds, in each of which everything was measured once.
struct PassMeasurement {
  PassShape shape;
  DType weights = DType::kF32;  // of the matrices of its view with the most bytes
  MachineRates machine;         // measured before each of these passes
  double seconds = 0;           // on a device with the launch, and what the host is given back
  double bytes = 0;             // that it has to read: each weight, key and value once
  double flops = 0;  // that it has to do: two for each weight and row, four for each query head's
                     // dimension and visible position
};

// What the processor's kernels use on this machine, in a line for people: "AVX3_DL; 8-bit products
// by vpdpbusd; BF16 products by vdpbf16ps". Measures for a millisecond or two at the first call.
std::string kernels_in_use();

struct Roofline {
  MachineRates machine;  // of the whole measurement
  std::vector<PassMeasurement> passes;
};

}  // namespace orthrus
