// The kinds of devices that run models: what the engine knows of them, a row each.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backends/device_model.h"
#include "checkpoint/checkpoint.h"
#include "orthrus/engine.h"

namespace orthrus {

struct Backend {
  Device::Kind kind;

  // How many devices of this kind there are; 0 in a build that has no kernels for them.
  int (*devices)();

  // Throws Error(kUsage) for types of weights or of a cache that models there cannot have.
  void (*check)(const EngineOptions& options);

  // Loads a checkpoint onto options.device, with types that were checked, at least one thread, and
  // on_load called as it is. Throws Error: kSystem, before weights are read, where there is no such
  // device or too little memory; as bind_weights and check_finite do for what is in the files.
  std::unique_ptr<const DeviceModel> (*load)(Checkpoint checkpoint, const EngineOptions& options);

  // Likewise a network of this shape, with weights that are made up.
  std::unique_ptr<const DeviceModel> (*random)(const ModelConfig& config,
                                               const EngineOptions& options);
};

const Backend& backend_of(Device::Kind kind);

// For Backend::check: throws Error(kUsage) where `type`, of the option `field`, is given and none
// that `takes` has; `valid` says which there are.
void check_type(std::string_view field, std::optional<DType> type, bool (*takes)(DType),
                std::string_view valid);

// The same of weights, which can be native anywhere.
void check_weights(std::string_view field, std::optional<WeightType> type, bool (*takes)(DType),
                   std::string_view valid);

}  // namespace orthrus
