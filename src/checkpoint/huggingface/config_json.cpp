#include "checkpoint/huggingface/config_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/counted.h"
#include "checkpoint/huggingface/generation_config.h"
#include "checkpoint/huggingface/json_fields.h"
#include "checkpoint/limits.h"
#include "files/json_document.h"

namespace orthrus {
namespace {

using nlohmann::json;

constexpr const char* kOrthrus = "OrthrusLM";
constexpr const char* kQwen3 = "Qwen3ForCausalLM";
constexpr const char* kQwen2 = "Qwen2ForCausalLM";

// What transformers' Qwen3Config takes for fields that are absent, and its Qwen2Config where it has
// them: it has no head_dim.
constexpr int kDefaultKeyValueHeads = 32;
constexpr int kDefaultHeadDim = 128;
constexpr int kDefaultMaxPositions = 32768;
constexpr double kDefaultNormEps = 1e-6;
constexpr double kDefaultRopeTheta = 10000;

// One pass over config.json, in the order of ModelConfig's fields.
class ConfigReader {
 public:
  ConfigReader(const json& object, const std::string& file, Problems& problems)
      : object_(object), file_(file), fields_(object, file, "", problems), problems_(problems) {}

  ModelConfig read() {
    read_architecture();
    read_name();
    read_dtype();
    read_sizes();
    read_rope();
    refuse_other_arithmetic();
    read_layer_types();
    if (const auto ids = fields_.integers("eos_token_id", config_.vocab_size - 1)) {
      config_.eos_token_ids = *ids;
    }
    if (config_.architecture == kOrthrus) {
      config_.block_size = fields_.integer("block_size", 2, limits::kBlock);
      config_.mask_token_id = fields_.integer("mask_token_id", 0, config_.vocab_size - 1);
    }
    return std::move(config_);
  }

 private:
  void read_architecture() {
    const json* names = fields_.find("architectures");
    for (const char* supported : {kOrthrus, kQwen3, kQwen2}) {
      if (names != nullptr && names->is_array() && names->size() == 1 &&
          is_text(names->front(), supported)) {
        config_.architecture = supported;
      }
    }
    config_.has_qkv_bias = config_.architecture == kQwen2;
    config_.has_qk_norm = !config_.has_qkv_bias;
    if (!config_.architecture.empty()) return;
    fields_.refuse(
        "architectures",
        fmt::format("supported are [\"{}\"], [\"{}\"] and [\"{}\"]", kOrthrus, kQwen3, kQwen2),
        names == nullptr ? ErrorKind::kFile : ErrorKind::kUnsupported);
  }

  // Whether a name can only be a path, on a machine where the model was trained.
  static bool is_local_path(std::string_view name) {
    const std::string_view last = name.substr(name.rfind('/') + 1);  // npos + 1 is 0
    return name.find_first_of("/.~") == 0 || name.find('\\') != name.npos ||
           std::ranges::count(name, '/') > 1 || last.starts_with("checkpoint-");
  }

  // Only for people, so that anything else than a string is no name.
  void read_name() {
    const json* name = fields_.find("_name_or_path");
    if (name == nullptr || !name->is_string()) return;
    std::string text = name->get<std::string>();
    if (!is_local_path(text)) config_.name = std::move(text);
  }

  // Files that older and newer versions of transformers have written hold both names, of which the
  // newer counts, as there.
  void read_dtype() {
    for (const char* key : {"dtype", "torch_dtype"}) {
      const json* value = fields_.find(key);
      if (value == nullptr) continue;
      if (is_text(*value, "float32") || is_text(*value, "float16") || is_text(*value, "bfloat16")) {
        config_.dtype = value->get<std::string>();
      } else {
        fields_.refuse(key, "supported are \"float32\", \"float16\" and \"bfloat16\"",
                       value->is_string() ? ErrorKind::kUnsupported : ErrorKind::kFile);
      }
      return;
    }
  }

  void read_sizes() {
    config_.vocab_size = fields_.integer("vocab_size", 1, limits::kVocab);
    config_.hidden_size = fields_.integer("hidden_size", 1, limits::kHidden);
    config_.intermediate_size = fields_.integer("intermediate_size", 1, limits::kIntermediate);
    config_.num_hidden_layers = fields_.integer("num_hidden_layers", 1, limits::kLayers);
    read_heads();
    config_.rms_norm_eps = static_cast<float>(fields_.positive("rms_norm_eps", kDefaultNormEps));
    config_.max_position_embeddings =
        fields_.integer("max_position_embeddings", 2, limits::kPositions, kDefaultMaxPositions);
    config_.tie_word_embeddings = fields_.boolean("tie_word_embeddings", false);
  }

  void read_heads() {
    const int heads = fields_.integer("num_attention_heads", 1, limits::kHeads);
    const bool is_null =
        object_.contains("num_key_value_heads") && fields_.find("num_key_value_heads") == nullptr;
    const int key_value_heads =
        is_null ? heads
                : fields_.integer("num_key_value_heads", 1, limits::kHeads, kDefaultKeyValueHeads);
    if (problems_.none() && heads % key_value_heads != 0) {
      fields_.refuse("num_key_value_heads",
                     fmt::format("{} must divide num_attention_heads, which is {}",
                                 object_.contains("num_key_value_heads")
                                     ? "it"
                                     : fmt::format("its default {}", key_value_heads),
                                 heads));
    }
    config_.num_attention_heads = heads;
    config_.num_key_value_heads = key_value_heads;
    read_head_dim();
  }

  void read_head_dim() {
    const bool is_derived = config_.architecture == kQwen2 && !object_.contains("head_dim");
    if (!is_derived) {
      config_.head_dim = fields_.integer("head_dim", 2, limits::kHeadDim, kDefaultHeadDim);
      if (config_.head_dim % 2 != 0) fields_.refuse("head_dim", "it must be even");
      return;
    }
    const int heads = config_.num_attention_heads;
    config_.head_dim = config_.hidden_size / heads;
    if (!problems_.none()) return;
    if (config_.hidden_size % (2 * heads) != 0 || config_.head_dim > limits::kHeadDim) {
      fields_.refuse("head_dim",
                     fmt::format("hidden_size, which is {}, divided by num_attention_heads, which "
                                 "is {}, must be an even number up to {}",
                                 config_.hidden_size, heads, limits::kHeadDim));
    }
  }

  // The base has moved from rope_theta into rope_parameters between versions of transformers;
  // rope_scaling is the older name of the latter.
  void read_rope() {
    std::optional<double> theta;
    read_theta(fields_, theta);
    for (const char* key : {"rope_parameters", "rope_scaling"}) {
      const json* value = fields_.find(key);
      if (value == nullptr) continue;
      if (!value->is_object()) {
        fields_.refuse(key, "it must be an object or null");
        continue;
      }
      const JsonFields rope(*value, file_, fmt::format("{}.", key), problems_);
      read_theta(rope, theta);
      refuse_rope_scaling(*value, rope);
    }
    config_.rope_theta = theta.value_or(kDefaultRopeTheta);
  }

  void read_theta(const JsonFields& fields, std::optional<double>& theta) {
    if (fields.find("rope_theta") == nullptr) return;
    const double value = fields.positive("rope_theta", theta.value_or(kDefaultRopeTheta));
    if (theta && *theta != value) {
      fields.refuse("rope_theta", fmt::format("elsewhere in the file it is {}", *theta));
    }
    theta = value;
  }

  void refuse_rope_scaling(const json& object, const JsonFields& rope) {
    for (const auto& [key, value] : object.items()) {
      if (key == "rope_type" || key == "type") {
        if (!is_text(value, "default")) {
          rope.refuse(key, "supported is \"default\"", ErrorKind::kUnsupported);
        }
      } else if (key == "partial_rotary_factor") {
        refuse_partial_rotary(rope);
      } else if (key != "rope_theta") {
        rope.refuse(key, "the field is not supported", ErrorKind::kUnsupported);
      }
    }
  }

  void refuse_partial_rotary(const JsonFields& fields) {
    const json* factor = fields.find("partial_rotary_factor");
    if (factor == nullptr || *factor == 1) return;
    fields.refuse("partial_rotary_factor", "supported is 1", ErrorKind::kUnsupported);
  }

  // Fields that would make a layer compute something else than it does here.
  void refuse_other_arithmetic() {
    for (const char* key : {"attention_bias", "mlp_bias", "use_sliding_window"}) {
      // Qwen2 has its biases, whatever an attention_bias might say.
      if (config_.has_qkv_bias && std::string_view(key) == "attention_bias") continue;
      const json* value = fields_.find(key);
      if (value == nullptr || *value == false) continue;
      fields_.refuse(key, value->is_boolean() ? "supported is false" : "it must be true or false",
                     value->is_boolean() ? ErrorKind::kUnsupported : ErrorKind::kFile);
    }
    if (const json* act = fields_.find("hidden_act"); act != nullptr && !is_text(*act, "silu")) {
      fields_.refuse("hidden_act", "supported is \"silu\"", ErrorKind::kUnsupported);
    }
    refuse_quantized();
    refuse_partial_rotary(fields_);
  }

  void refuse_quantized() {
    read_quantization(object_, file_, problems_);  // for its checks
    if (fields_.find("quantization") == nullptr) return;
    fields_.refuse("quantization",
                   "weights quantized as MLX does are not supported; a GGUF file of the model is, "
                   "or its original in 16 bits",
                   ErrorKind::kUnsupported);
  }

  void read_layer_types() {
    const json* types = fields_.find("layer_types");
    if (types == nullptr) return;
    if (!types->is_array()) {
      fields_.refuse("layer_types", "it must be a list");
      return;
    }
    const auto other = std::ranges::find_if(
        *types, [](const json& type) { return !is_text(type, "full_attention"); });
    if (other != types->end()) {
      fields_.refuse("layer_types",
                     fmt::format("element {} is {}; supported is \"full_attention\" for all",
                                 other - types->begin(), shown(*other)),
                     ErrorKind::kUnsupported);
    }
    const auto layers = static_cast<size_t>(config_.num_hidden_layers);
    if (problems_.none() && types->size() != layers) {
      fields_.refuse("layer_types", fmt::format("it has {}, but num_hidden_layers is {}",
                                                counted(types->size(), "element"), layers));
    }
  }

  const json& object_;
  const std::string& file_;
  JsonFields fields_;
  Problems& problems_;
  ModelConfig config_;
};

}  // namespace

ModelConfig parse_config(const NamedText& config, const std::optional<NamedText>& generation) {
  Problems problems;
  const JsonPointer object = parse_json_object(config.text, config.name);
  ModelConfig result = ConfigReader(*object, config.name, problems).read();
  if (generation) {
    const JsonPointer defaults = parse_json_object(generation->text, generation->name);
    read_generation_config(JsonFields(*defaults, generation->name, "", problems), result);
  }
  problems.throw_if_any();
  return result;
}

std::optional<Quantization> parse_quantization(const NamedText& config) {
  Problems problems;
  const JsonPointer object = parse_json_object(config.text, config.name);
  std::optional<Quantization> result = read_quantization(*object, config.name, problems);
  problems.throw_if_any();
  return result;
}

}  // namespace orthrus
