// What an Engine is made of.
#pragma once

#include <optional>
#include <utility>

#include "engine/policy_memory.h"
#include "kernels/cpu/cpu_ops.h"
#include "model/forward.h"
#include "orthrus/engine.h"

namespace orthrus {

struct Engine::Impl {
  Impl(Model loaded, std::optional<Tokenizer> loaded_tokenizer, int thread_count)
      : model(std::move(loaded)), tokenizer(std::move(loaded_tokenizer)), threads(thread_count) {}

  Model model;
  std::optional<Tokenizer> tokenizer;
  int threads;
  CpuOps ops{threads};
  mutable PolicyMemory policy_memory{};  // guards itself; changes speed only

  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }
};

}  // namespace orthrus
