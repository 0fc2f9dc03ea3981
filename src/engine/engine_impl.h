// What an Engine is made of.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "backends/device_model.h"
#include "engine/policy_memory.h"
#include "orthrus/engine.h"

namespace orthrus {

struct Engine::Impl {
  Impl(std::unique_ptr<const DeviceModel> loaded, std::optional<Tokenizer> loaded_tokenizer,
       int thread_count, Device on_device)
      : model(std::move(loaded)),
        tokenizer(std::move(loaded_tokenizer)),
        threads(thread_count),
        device(on_device) {}

  std::unique_ptr<const DeviceModel> model;
  std::optional<Tokenizer> tokenizer;
  int threads;
  Device device;
  mutable PolicyMemory policy_memory{};  // guards itself; changes speed only

  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }
};

}  // namespace orthrus
