// Loading a model from a directory, for tests that look inside it.
#pragma once

#include <filesystem>
#include <utility>

#include "backends/cpu/cpu_forward.h"
#include "kernels/cpu/cpu_ops.h"

namespace orthrus {

inline CpuWeights load_model(const std::filesystem::path& directory,
                             const WeightTypes& types = {}) {
  Checkpoint checkpoint = Checkpoint::open(directory);
  const ModelConfig config = checkpoint.config();
  return CpuWeights(config, std::move(checkpoint), directory.string(), CpuOps(2), types);
}

// A sequence with pages of its own.
struct TestSequence {
  TestSequence(const CpuWeights& model, const Ops& ops)
      : pool(ops, model.kv_layout(), 1 << 20), sequence(pool) {}

  KvPool pool;
  KvSequence sequence;
};

// Runs a pass as decoding does where everything is accepted: AR spans find room, and are committed.
inline Status run_and_commit(ForwardPass& pass, std::span<const Span> spans) {
  const auto of_ar = [&](auto use) {
    for (const Span& span : spans) {
      if (span.view == View::kDiffusion) continue;
      use(const_cast<KvSequence&>(*span.sequence), static_cast<int>(span.tokens.size()));
    }
  };
  Status status = Status::kOk;
  of_ar([&](KvSequence& sequence, int count) {
    if (sequence.reserve(count) != Status::kOk) status = Status::kOutOfMemory;
  });
  if (status == Status::kOk) status = pass.run(spans);
  if (status == Status::kOk) {
    of_ar([](KvSequence& sequence, int count) { sequence.commit(count); });
  }
  return status;
}

}  // namespace orthrus
