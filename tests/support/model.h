// Loading a model from a directory, for tests that look inside it.
#pragma once

#include <filesystem>

#include "kernels/cpu/cpu_ops.h"
#include "model/forward.h"

namespace orthrus {

inline Model load_model(const std::filesystem::path& directory, const WeightTypes& types = {}) {
  return Model(load_config(directory), Checkpoint::open(directory), directory.string(), CpuOps(2),
               types);
}

// A sequence with pages of its own.
struct TestSequence {
  TestSequence(const Model& model, const Ops& ops)
      : pool(ops, model.kv_layout(), 1 << 20), sequence(pool) {}

  KvPool pool;
  KvSequence sequence;
};

}  // namespace orthrus
