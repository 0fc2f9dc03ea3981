#include "orthrus/inspect.h"

#include <algorithm>

#include "checkpoint/checkpoint.h"
#include "kernels/formats/format.h"
#include "network/network_weights.h"

namespace orthrus {
namespace {

void add(PartInfo& part, const TensorInfo& tensor) {
  part.parameters += tensor.parameters;
  part.bytes += tensor.bytes;
}

}  // namespace

CheckpointInfo inspect(const std::filesystem::path& model) {
  CheckpointInfo info;
  const Checkpoint checkpoint = Checkpoint::open(model);
  info.config = checkpoint.config();
  const ModelConfig& config = info.config;
  bind_weights(config, checkpoint, checkpoint.name());  // for its checks

  info.ar_view.name = "AR view";
  info.diffusion_view.name = "diffusion view";
  info.total.name = "total";
  for (const TensorSpec& spec : expected_tensors(config)) {
    const Tensor& tensor = *checkpoint.find(spec.name);
    const auto bytes = static_cast<int64_t>(tensor.bytes);
    const Format& format = format_of(tensor.type);
    const TensorInfo& entry = info.tensors.emplace_back(
        TensorInfo{spec.name, std::string(spec.part), tensor.type, tensor.shape,
                   bytes / format.block_bytes * format.block_columns, bytes});
    auto part = std::find_if(info.parts.begin(), info.parts.end(),
                             [&](const PartInfo& p) { return p.name == entry.part; });
    if (part == info.parts.end()) part = info.parts.insert(part, PartInfo{entry.part});
    add(*part, entry);
    add(info.total, entry);
    if (!spec.view || *spec.view == View::kAutoregressive) add(info.ar_view, entry);
    if (config.has_diffusion_view() && (!spec.view || *spec.view == View::kDiffusion)) {
      add(info.diffusion_view, entry);
    }
  }
  info.cache_bytes_per_token = int64_t{2} * config.num_hidden_layers * config.num_key_value_heads *
                               config.head_dim * static_cast<int64_t>(sizeof(float));
  return info;
}

}  // namespace orthrus
