#include "orthrus/inspect.h"

#include <algorithm>
#include <span>
#include <tuple>

#include "base/float_environment.h"
#include "checkpoint/checkpoint.h"
#include "engine/open_model.h"
#include "network/network_weights.h"

namespace orthrus {
namespace {

void add(PartInfo& part, const TensorInfo& tensor) {
  part.parameters += tensor.parameters;
  part.bytes += tensor.bytes;
}

void add(std::vector<FormatInfo>& formats, const TensorInfo& tensor) {
  const auto key = [](const auto& of) { return std::tie(of.encoding, of.type); };
  auto format = std::ranges::lower_bound(formats, key(tensor), {}, key);
  if (format == formats.end() || key(*format) != key(tensor)) {
    format = formats.insert(format, FormatInfo{tensor.type, tensor.encoding});
  }
  ++format->tensors;
  format->parameters += tensor.parameters;
  format->bytes += tensor.bytes;
}

int64_t parameters_of(const Tensor& tensor) {
  int64_t parameters = 1;
  for (const int64_t extent : tensor.shape) parameters *= extent;
  return parameters;
}

void describe_text(const Checkpoint& checkpoint, CheckpointInfo& info) {
  const std::optional<Vocabulary>& vocabulary = checkpoint.vocabulary();
  info.has_tokenizer = vocabulary || checkpoint.tokenizer_file();
  if (!vocabulary) return;
  info.vocabulary = VocabularyInfo{static_cast<int>(vocabulary->tokens.size()),
                                   static_cast<int>(vocabulary->merges.size()), vocabulary->pre,
                                   vocabulary->bos_token_id, vocabulary->add_bos};
}

HeadsInfo heads_of(const Checkpoint::HeadsSource& source, std::span<const TensorInfo> tensors) {
  HeadsInfo heads{source.name, source.base};
  for (const TensorInfo& tensor : tensors) {
    if (!tensor.part.ends_with("(diffusion view)")) continue;
    heads.parameters += tensor.parameters;
    heads.bytes += tensor.bytes;
  }
  return heads;
}

}  // namespace

CheckpointInfo inspect(const std::filesystem::path& model,
                       const std::optional<std::filesystem::path>& heads) {
  const FloatEnvironment ours;
  CheckpointInfo info;
  const Checkpoint checkpoint = open_model(model, heads);
  info.config = checkpoint.config();
  const ModelConfig& config = info.config;
  bind_weights(config, checkpoint, checkpoint.name());  // for its checks

  info.ar_view.name = "AR view";
  info.diffusion_view.name = "diffusion view";
  info.total.name = "total";
  for (const TensorSpec& spec : expected_tensors(config)) {
    const Tensor& tensor = *checkpoint.find(spec.name);
    const TensorInfo& entry = info.tensors.emplace_back(TensorInfo{
        spec.name, std::string(spec.part), tensor.type, tensor.shape, parameters_of(tensor),
        static_cast<int64_t>(tensor.bytes), tensor.encoding ? tensor.encoding->name() : ""});
    auto part = std::find_if(info.parts.begin(), info.parts.end(),
                             [&](const PartInfo& p) { return p.name == entry.part; });
    if (part == info.parts.end()) part = info.parts.insert(part, PartInfo{entry.part});
    add(*part, entry);
    add(info.formats, entry);
    add(info.total, entry);
    if (!spec.view || *spec.view == View::kAutoregressive) add(info.ar_view, entry);
    if (config.has_diffusion_view() && (!spec.view || *spec.view == View::kDiffusion)) {
      add(info.diffusion_view, entry);
    }
  }
  describe_text(checkpoint, info);
  info.chat_format = detect_chat_format(model);
  if (checkpoint.heads()) info.heads = heads_of(*checkpoint.heads(), info.tensors);
  info.cache_bytes_per_token = int64_t{2} * config.num_hidden_layers * config.num_key_value_heads *
                               config.head_dim * static_cast<int64_t>(sizeof(float));
  return info;
}

}  // namespace orthrus
