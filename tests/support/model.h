// Loading a model from a directory, for tests that look inside it.
#pragma once

#include <filesystem>

#include "backends/cpu/cpu_forward.h"
#include "kernels/cpu/cpu_ops.h"

namespace orthrus {

inline CpuWeights load_model(const std::filesystem::path& directory,
                             const WeightTypes& types = {}) {
  return CpuWeights(load_config(directory), Checkpoint::open(directory), directory.string(),
                    CpuOps(2), types);
}

// A sequence with pages of its own.
struct TestSequence {
  TestSequence(const CpuWeights& model, const Ops& ops)
      : pool(ops, model.kv_layout(), 1 << 20), sequence(pool) {}

  KvPool pool;
  KvSequence sequence;
};

}  // namespace orthrus
