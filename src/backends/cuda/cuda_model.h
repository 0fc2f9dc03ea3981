// A model on a CUDA device.
#pragma once

#include <memory>
#include <string>

#include "backends/device_model.h"
#include "checkpoint/checkpoint.h"
#include "network/network_weights.h"
#include "orthrus/load_progress.h"

namespace orthrus::cuda {

// How many there are. In a build without their kernels it is 0, and the others throw
// Error(kUnsupported).
int device_count();

// Uploads a checkpoint to device `ordinal`, as `types` say, which are BF16, Q8_0 or, the default,
// native (weight_plan.h): what has another type is converted. Throws as bind_weights and
// check_finite do; Error(kSystem) when there is no such device or too little memory free, which is
// found before weights are read, and Error(kUnsupported) for shapes that the kernels do not take.
std::unique_ptr<const DeviceModel> load_model(ModelConfig config, Checkpoint checkpoint,
                                              const std::string& model_name, int ordinal,
                                              const LoadProgress& progress,
                                              const WeightTypes& types = {});

// Of this shape, with weights that are made up.
std::unique_ptr<const DeviceModel> random_model(const ModelConfig& config, int ordinal,
                                                const LoadProgress& progress = {},
                                                const WeightTypes& types = {});

}  // namespace orthrus::cuda
