#include "network/check_tensors.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

// At most this many lines of each kind of trouble; a wrong file can have thousands.
constexpr size_t kMaxListed = 20;

// The angles of rotation, which old files hold, follow from the configuration.
bool is_rotation(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq");
}

// Biases of zeros, which quantizers write for layers that have none.
bool adds_nothing(const Tensor& tensor) {
  if (!tensor.name.ends_with(".bias") || tensor.data == nullptr) return false;
  const Format& format = format_of(tensor.type);
  const auto block = static_cast<size_t>(format.block_bytes);
  std::vector<float> values(static_cast<size_t>(format.block_columns));
  for (size_t at = 0; at < tensor.bytes; at += block) {
    format.widen(tensor.data + at, 1, values.data());
    if (std::ranges::any_of(values, [](float value) { return value != 0; })) return false;
  }
  return true;
}

bool is_of_adapter(const std::string& name) {
  return name.starts_with("base_model.model.") || name.find(".lora_") != std::string::npos;
}

void list(std::string& message, std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  message += fmt::format("\n{} ({}):", title, lines.size());
  for (size_t i = 0; i < std::min(lines.size(), kMaxListed); ++i) message += "\n  " + lines[i];
  if (lines.size() > kMaxListed)
    message += fmt::format("\n  ... and {} more", lines.size() - kMaxListed);
}

}  // namespace

void check_tensors(std::span<const TensorSpec> specs, std::span<const Tensor> tensors,
                   const std::string& title) {
  std::vector<std::string> missing, misshapen, unexpected;
  std::set<std::string_view> known;
  bool lacks_head = false;
  for (const TensorSpec& spec : specs) {
    known.insert(spec.name);
    const auto tensor = std::ranges::lower_bound(tensors, spec.name, {}, &Tensor::name);
    if (tensor == tensors.end() || tensor->name != spec.name) {
      missing.push_back(spec.name + " " + text_of(spec.shape));
      lacks_head |= spec.name == "lm_head.weight";
    } else if (tensor->shape != spec.shape) {
      misshapen.push_back(fmt::format("{} has shape {}, it must be {}", spec.name,
                                      text_of(tensor->shape), text_of(spec.shape)));
    }
  }
  for (const Tensor& tensor : tensors) {
    if (known.contains(tensor.name) || is_rotation(tensor.name) || adds_nothing(tensor)) continue;
    unexpected.push_back(printable(tensor.name) + " " + text_of(tensor.shape));
  }
  if (missing.empty() && misshapen.empty() && unexpected.empty()) return;
  std::string message = title;
  list(message, "missing", missing);
  list(message, "misshapen", misshapen);
  list(message, "unexpected", unexpected);
  if (lacks_head) {
    message += "\nA head that is the embedding needs \"tie_word_embeddings\": true in config.json.";
  }
  if (std::ranges::any_of(tensors, &is_of_adapter, &Tensor::name)) {
    message +=
        "\nThey are an adapter's (LoRA), in whole or in part: merge it into its base model "
        "first, with peft's merge_and_unload(), and give the result.";
  }
  throw Error(ErrorKind::kFile, message);
}

void check_heads(const Heads& heads, const Checkpoint& base) {
  ModelConfig config = base.config();
  const int32_t mask = heads.mask_token_id.value_or(kUsualMaskTokenId);
  if (mask >= config.vocab_size) {
    throw Error(
        ErrorKind::kFile,
        fmt::format("{}: mask_token_id is {}{}, but {} has only the ids 0 to {}.", heads.name, mask,
                    heads.mask_token_id ? "" : ", since the file says none", base.name(),
                    config.vocab_size - 1));
  }
  config.block_size = heads.block_size.value_or(kUsualBlockSize);
  config.pair_rank = pair_rank_of(heads.tensors, heads.name);
  std::vector<TensorSpec> specs = expected_tensors(config);
  std::erase_if(specs, [](const TensorSpec& spec) { return spec.view != View::kDiffusion; });
  check_tensors(
      specs, heads.tensors,
      fmt::format("{}: the tensors are not those of heads for {}.", heads.name, base.name()));
}

}  // namespace orthrus
