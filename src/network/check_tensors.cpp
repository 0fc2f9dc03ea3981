#include "network/check_tensors.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/counted.h"
#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

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

void list(std::string& message, std::string_view title, const std::vector<std::string>& lines,
          size_t most) {
  if (lines.empty()) return;
  message += fmt::format("\n{} ({}):", title, lines.size());
  for (size_t i = 0; i < std::min(lines.size(), most); ++i) message += "\n  " + lines[i];
  if (lines.size() > most) message += fmt::format("\n  ... and {} more", lines.size() - most);
}

// Of a model, as far as its heads know it.
struct Size {
  int64_t layers = 0, hidden = 0, queries = 0, keys = 0;
  bool operator==(const Size&) const = default;
};

// Nothing where they have not the projections of a first layer.
std::optional<Size> size_in(std::span<const Tensor> heads) {
  const auto shape_of = [&](std::string_view name) -> const std::vector<int64_t>* {
    const auto tensor = std::ranges::lower_bound(heads, name, {}, &Tensor::name);
    const bool is_matrix =
        tensor != heads.end() && tensor->name == name && tensor->shape.size() == 2;
    return is_matrix ? &tensor->shape : nullptr;
  };
  const auto* const queries = shape_of("model.layers.0.self_attn.q_proj_diff.weight");
  const auto* const keys = shape_of("model.layers.0.self_attn.k_proj_diff.weight");
  if (queries == nullptr || keys == nullptr) return std::nullopt;
  std::set<std::string_view> layers;  // each by any of its projections: one may be missing
  for (const Tensor& tensor : heads) {
    const std::string_view name = tensor.name;
    if (name.ends_with("_proj_diff.weight"))
      layers.insert(name.substr(0, name.rfind(".self_attn.")));
  }
  return Size{std::ssize(layers), (*queries)[1], (*queries)[0], (*keys)[0]};
}

std::string in_words(const Size& size) {
  return fmt::format("{} of width {}, with queries of width {} and keys of width {}",
                     counted(size.layers, "layer"), size.hidden, size.queries, size.keys);
}

}  // namespace

void check_tensors(std::span<const TensorSpec> specs, std::span<const Tensor> tensors,
                   const std::string& title, size_t most) {
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
  list(message, "missing", missing, most);
  list(message, "misshapen", misshapen, most);
  list(message, "unexpected", unexpected, most);
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
  std::string title =
      fmt::format("{}: the tensors are not those of heads for {}.", heads.name, base.name());
  const Size wanted{config.num_hidden_layers, config.hidden_size,
                    int64_t{config.num_attention_heads} * config.head_dim,
                    int64_t{config.num_key_value_heads} * config.head_dim};
  const std::optional<Size> size = size_in(heads.tensors);
  if (!size || *size == wanted) return check_tensors(specs, heads.tensors, title);
  // Of another model altogether: its tensors say no more.
  title += fmt::format("\nThey are for a model that has {}; this one has {}.", in_words(*size),
                       in_words(wanted));
  check_tensors(specs, heads.tensors, title, 3);
}

}  // namespace orthrus
