// What is known of a model before its weights are read, and the options that it is loaded with.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"
#include "orthrus/engine.h"

namespace orthrus {

struct ModelFiles::Impl {
  Checkpoint checkpoint;
  std::optional<Tokenizer> tokenizer;
  EngineOptions options;
  int threads;  // that were asked for, or that the process may use
};

// Throws Error(kUsage). `name`: of the model, for messages.
void check_options(const EngineOptions& options, const ModelConfig& config,
                   const std::string& name);
int thread_count(int wanted);

}  // namespace orthrus
