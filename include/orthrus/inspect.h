// What a checkpoint is made of, without running it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "orthrus/config.h"
#include "orthrus/dtype.h"

namespace orthrus {

struct TensorInfo {
  std::string name;
  std::string part;  // "embedding", "attention (AR view)", "attention (diffusion view)", "MLP",
                     // "norms", "LM head"
  DType type;
  std::vector<int64_t> shape;
  int64_t parameters;
  int64_t bytes;
};

struct PartInfo {
  std::string name;
  int64_t parameters = 0;
  int64_t bytes = 0;
};

struct CheckpointInfo {
  ModelConfig config;
  std::vector<TensorInfo> tensors;  // in the order of the network
  std::vector<PartInfo> parts;
  PartInfo ar_view;         // what an AR pass uses: everything but the diffusion view's attention
  PartInfo diffusion_view;  // what a diffusion pass uses; zeros when there is none
  PartInfo total;
  int64_t cache_bytes_per_token = 0;  // keys and values of one position, page padding not counted
};

// Reads and checks a checkpoint's configuration and headers; not the weights' values. Throws Error.
CheckpointInfo inspect(const std::filesystem::path& model);

}  // namespace orthrus
