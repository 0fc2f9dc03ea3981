// A model on a CUDA device.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backends/device_model.h"
#include "checkpoint/checkpoint.h"

namespace orthrus::cuda {

// How many there are. In a build without their kernels it is 0, and the others throw
// Error(kUnsupported).
int device_count();

// Uploads a checkpoint to device `ordinal`, in BF16: other types are rounded, blocks widened.
// Throws as bind_weights and check_finite do; Error(kSystem) when there is no such device or too
// little memory, and Error(kUnsupported) for shapes that the kernels do not take. `progress` is
// told of bytes read, then of weights uploaded.
std::unique_ptr<const DeviceModel> load_model(
    ModelConfig config, Checkpoint checkpoint, const std::string& model_name, int ordinal,
    const std::function<void(size_t done, size_t total)>& progress);

// Of this shape, with weights that are made up.
std::unique_ptr<const DeviceModel> random_model(const ModelConfig& config, int ordinal);

}  // namespace orthrus::cuda
