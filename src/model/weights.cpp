#include "model/weights.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>

#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

constexpr std::string_view kViewSuffix[kViews] = {"", "_diff"};
constexpr std::string_view kAttentionPart[kViews] = {"attention (AR view)",
                                                     "attention (diffusion view)"};

// True when any weight is larger: as integers, magnitudes are in the order of their numbers.
template <typename Word>
bool exceeds(const void* data, size_t count, Word limit) {
  constexpr Word kMagnitude = static_cast<Word>(~Word{0}) >> 1;
  const auto* bytes = static_cast<const std::byte*>(data);
  Word largest = 0;
  for (size_t i = 0; i < count; ++i) {
    Word bits;
    std::memcpy(&bits, bytes + i * sizeof(Word), sizeof(Word));
    largest = std::max<Word>(largest, bits & kMagnitude);
  }
  return largest > limit;
}

bool exceeds(DType type, const void* data, size_t count, float limit) {
  const auto bits = std::bit_cast<uint32_t>(limit);
  if (type == DType::kF32) return exceeds<uint32_t>(data, count, bits);
  if (type == DType::kBF16) return exceeds(data, count, static_cast<uint16_t>(bits >> 16));
  return false;  // F16, which every type has room for
}

[[noreturn]] void refuse_large(const std::string& directory, std::string_view name, DType type) {
  throw Error(ErrorKind::kFile,
              fmt::format("{}: {} has weights above {}, the most that {} holds.", directory, name,
                          format_of(type).largest, name_of(type)));
}

Matrix matrix_of(const Tensor& tensor) {
  return {tensor.data, tensor.type, static_cast<int>(tensor.shape[0]),
          static_cast<int>(tensor.shape[1])};
}

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape[0]));
  const Format& format = format_of(tensor.type);
  format.widen(tensor.data, values.size() / static_cast<size_t>(format.block_columns),
               values.data());
  return values;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

// At most this many lines of each kind of trouble; a wrong file can have thousands.
constexpr size_t kMaxListed = 20;
constexpr size_t kShownName = 100;  // bytes of a name that a file made up

void list(std::string& message, std::string_view title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  message += fmt::format("\n{} ({}):", title, lines.size());
  for (size_t i = 0; i < std::min(lines.size(), kMaxListed); ++i) message += "\n  " + lines[i];
  if (lines.size() > kMaxListed)
    message += fmt::format("\n  ... and {} more", lines.size() - kMaxListed);
}

void check_tensors(const ModelConfig& config, const Checkpoint& checkpoint,
                   const std::string& directory) {
  std::vector<std::string> missing, misshapen, unexpected;
  std::set<std::string_view> known;
  const std::vector<TensorSpec> specs = expected_tensors(config);
  for (const TensorSpec& spec : specs) {
    known.insert(spec.name);
    const Tensor* tensor = checkpoint.find(spec.name);
    if (tensor == nullptr) {
      missing.push_back(spec.name + " " + text_of(spec.shape));
    } else if (tensor->shape != spec.shape) {
      misshapen.push_back(fmt::format("{} has shape {}, config.json asks for {}", spec.name,
                                      text_of(tensor->shape), text_of(spec.shape)));
    }
  }
  for (const Tensor& tensor : checkpoint.tensors()) {
    // A tied head may be stored all the same; transformers ignores it too.
    if (config.tie_word_embeddings && tensor.name == "lm_head.weight") continue;
    if (!known.contains(tensor.name)) {
      unexpected.push_back(printable(tensor.name, kShownName) + " " + text_of(tensor.shape));
    }
  }
  if (missing.empty() && misshapen.empty() && unexpected.empty()) return;
  std::string message =
      fmt::format("{}: the tensors are not those of {} as config.json describes it.", directory,
                  config.architecture);
  list(message, "missing", missing);
  list(message, "misshapen", misshapen);
  list(message, "unexpected", unexpected);
  throw Error(ErrorKind::kFile, message);
}

}  // namespace

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t q = int64_t{config.num_attention_heads} * config.head_dim;
  const int64_t kv = int64_t{config.num_key_value_heads} * config.head_dim;
  std::vector<TensorSpec> specs;
  specs.push_back({"model.embed_tokens.weight", {config.vocab_size, hidden}, "embedding", {}});
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    specs.push_back({layer + "input_layernorm.weight", {hidden}, "norms", {}});
    for (int view = 0; view < (config.has_diffusion_view() ? kViews : 1); ++view) {
      const auto add = [&](std::string_view name, std::vector<int64_t> shape) {
        specs.push_back({fmt::format("{}self_attn.{}{}.weight", layer, name, kViewSuffix[view]),
                         std::move(shape), kAttentionPart[view], static_cast<View>(view)});
      };
      add("q_proj", {q, hidden});
      add("k_proj", {kv, hidden});
      add("v_proj", {kv, hidden});
      add("o_proj", {hidden, q});
      add("q_norm", {config.head_dim});
      add("k_norm", {config.head_dim});
    }
    specs.push_back({layer + "post_attention_layernorm.weight", {hidden}, "norms", {}});
    specs.push_back(
        {layer + "mlp.gate_proj.weight", {config.intermediate_size, hidden}, "MLP", {}});
    specs.push_back({layer + "mlp.up_proj.weight", {config.intermediate_size, hidden}, "MLP", {}});
    specs.push_back(
        {layer + "mlp.down_proj.weight", {hidden, config.intermediate_size}, "MLP", {}});
  }
  specs.push_back({"model.norm.weight", {hidden}, "norms", {}});
  if (!config.tie_word_embeddings) {
    specs.push_back({"lm_head.weight", {config.vocab_size, hidden}, "LM head", {}});
  }
  return specs;
}

Weights bind_weights(const ModelConfig& config, const Checkpoint& checkpoint,
                     const std::string& directory) {
  if (config.head_dim > kMaxHeadDim) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: head_dim is {}; the kernels take up to {}.", directory,
                            config.head_dim, kMaxHeadDim));
  }
  check_tensors(config, checkpoint, directory);
  const auto matrix = [&](const std::string& name) {
    return matrix_of(*checkpoint.find(name + ".weight"));
  };
  const auto floats = [&](const std::string& name) {
    return floats_of(*checkpoint.find(name + ".weight"));
  };
  Weights weights;
  weights.embed_tokens = matrix("model.embed_tokens");
  for (int i = 0; i < config.num_hidden_layers; ++i) {
    const std::string at = fmt::format("model.layers.{}.", i);
    LayerWeights layer;
    layer.input_layernorm = floats(at + "input_layernorm");
    for (int view = 0; view < (config.has_diffusion_view() ? kViews : 1); ++view) {
      const auto name = [&](std::string_view part) {
        return fmt::format("{}self_attn.{}{}", at, part, kViewSuffix[view]);
      };
      layer.attention[view] = {matrix(name("q_proj")), matrix(name("k_proj")),
                               matrix(name("v_proj")), matrix(name("o_proj")),
                               floats(name("q_norm")), floats(name("k_norm"))};
    }
    layer.post_attention_layernorm = floats(at + "post_attention_layernorm");
    layer.mlp.fill(
        {matrix(at + "mlp.gate_proj"), matrix(at + "mlp.up_proj"), matrix(at + "mlp.down_proj")});
    weights.layers.push_back(std::move(layer));
  }
  weights.norm = floats("model.norm");
  weights.lm_head.fill(config.tie_word_embeddings ? weights.embed_tokens : matrix("lm_head"));
  return weights;
}

void pack_weights(Weights& weights, const WeightTypes& types, const Ops& ops,
                  const std::string& directory, std::vector<Buffer>& storage,
                  const std::function<void(size_t, size_t)>& progress) {
  struct Place {
    std::string name;
    Matrix* matrix;
    std::optional<DType> type;
    Matrix* shared_with =
        nullptr;  // what is the same matrix if it has the same type, packed before
  };
  constexpr int kAr = static_cast<int>(View::kAutoregressive);
  constexpr int kDraft = static_cast<int>(View::kDiffusion);
  std::vector<Place> places;
  const bool has_drafts = weights.layers.front().attention[kDraft].q_proj.data != nullptr;
  const auto draft_type = types.draft ? types.draft : types.type;
  const auto both = [&](const std::string& name, Matrix& ar, Matrix& draft) {
    places.push_back({name, &ar, types.type});
    places.push_back({name, &draft, has_drafts ? draft_type : types.type, &ar});
  };
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    LayerWeights& layer = weights.layers[i];
    const std::string at = fmt::format("model.layers.{}.", i);
    for (int view = 0; view < (has_drafts ? kViews : 1); ++view) {
      AttentionWeights& w = layer.attention[view];
      const auto name = [&](std::string_view part) {
        return fmt::format("{}self_attn.{}{}", at, part, kViewSuffix[view]);
      };
      const auto type = view == kDraft ? draft_type : types.type;
      places.insert(places.end(), {{name("q_proj"), &w.q_proj, type},
                                   {name("k_proj"), &w.k_proj, type},
                                   {name("v_proj"), &w.v_proj, type},
                                   {name("o_proj"), &w.o_proj, type}});
    }
    MlpWeights &ar = layer.mlp[kAr], &draft = layer.mlp[kDraft];
    both(at + "mlp.gate_proj", ar.gate_proj, draft.gate_proj);
    both(at + "mlp.up_proj", ar.up_proj, draft.up_proj);
    both(at + "mlp.down_proj", ar.down_proj, draft.down_proj);
  }
  both("lm_head", weights.lm_head[kAr], weights.lm_head[kDraft]);

  const auto size = [](const Matrix& m) { return static_cast<size_t>(m.rows) * m.cols; };
  size_t total = 0, done = 0;
  for (const Place& place : places) total += size(*place.matrix);
  for (const Place& place : places) {
    Matrix& matrix = *place.matrix;
    const DType to = place.type.value_or(matrix.type);
    done += size(matrix);
    if (place.shared_with != nullptr && place.shared_with->type == to) {
      matrix = *place.shared_with;
    } else {
      if (exceeds(matrix.type, matrix.data, size(matrix), format_of(to).largest)) {
        refuse_large(directory, place.name, to);
      }
      const size_t bytes = ops.packed_bytes(to, matrix.rows, matrix.cols);
      Buffer& buffer = storage.emplace_back(ops.allocate((bytes + 3) / 4));
      matrix = ops.pack(matrix, to, buffer.get());
    }
    if (progress) progress(done, total);
  }
}

void check_fits(const Checkpoint& checkpoint, DType type, const std::string& directory) {
  for (const Tensor& tensor : checkpoint.tensors()) {
    const size_t count = tensor.bytes / static_cast<size_t>(format_of(tensor.type).block_bytes);
    if (exceeds(tensor.type, tensor.data, count, format_of(type).largest)) {
      refuse_large(directory, printable(tensor.name, kShownName), type);
    }
  }
}

void check_finite(const Checkpoint& checkpoint, const std::string& directory,
                  const std::function<void(size_t, size_t)>& progress) {
  constexpr size_t kSliceBytes = size_t{16} << 20;
  size_t total = 0, done = 0;
  for (const Tensor& tensor : checkpoint.tensors()) total += tensor.bytes;
  for (const Tensor& tensor : checkpoint.tensors()) {
    const Format& format = format_of(tensor.type);
    const auto block = static_cast<size_t>(format.block_bytes);
    const size_t slice = kSliceBytes / block * block;
    for (size_t at = 0; at < tensor.bytes; at += slice) {
      const size_t bytes = std::min(slice, tensor.bytes - at);
      if (!format.finite(tensor.data + at, bytes / block)) {
        throw Error(ErrorKind::kFile,
                    fmt::format("{}: tensor {} holds NaN or infinity; weights must be finite.",
                                directory, tensor.name));
      }
      done += bytes;
      if (progress) progress(done, total);
    }
  }
}

}  // namespace orthrus
