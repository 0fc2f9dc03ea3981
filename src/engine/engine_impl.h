// What an Engine is made of.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <optional>
#include <utility>

#include "backends/device_model.h"
#include "base/process.h"
#include "engine/policy_memory.h"
#include "orthrus/engine.h"
#include "orthrus/error.h"

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

  const unsigned process = process_number();  // that loaded it

  // Throws Error(kSystem) in a process that was forked since, if what runs the passes is a device.
  void check_process() const {
    if (device.kind == Device::Kind::kCpu || process == process_number()) return;
    throw Error(ErrorKind::kSystem,
                fmt::format("This process was forked after the model was loaded on {}, and a "
                            "device's memory is its parent's. Load the model after the fork.",
                            name_of(device)));
  }
  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }
};

}  // namespace orthrus
