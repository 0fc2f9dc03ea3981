#include "checkpoint/gguf/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/counted.h"
#include "checkpoint/gguf/tensor_names.h"
#include "checkpoint/limits.h"
#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

constexpr const char* kArchitecture = "general.architecture";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr double kDefaultRopeTheta = 10000;  // as the published format has it

const Tensor* find_tensor(const GgufModel& model, std::string_view name) {
  const auto it = std::ranges::lower_bound(model.tensors, name, {}, &Tensor::name);
  return it != model.tensors.end() && it->name == name ? &*it : nullptr;
}

// One pass over the metadata, in the order of ModelConfig's fields.
class ConfigReader {
 public:
  ConfigReader(const GgufModel& model, const std::optional<Vocabulary>& vocabulary)
      : model_(model), vocabulary_(vocabulary), fields_(model.metadata, model.name, problems_) {}

  ModelConfig read() {
    read_architecture();
    config_.name = fields_.text("general.name", "");
    read_sizes();
    read_heads();
    config_.rms_norm_eps =
        static_cast<float>(fields_.positive(key("attention.layer_norm_rms_epsilon")));
    config_.rope_theta = fields_.positive(key("rope.freq_base"), kDefaultRopeTheta);
    config_.max_position_embeddings = fields_.integer(key("context_length"), 2, limits::kPositions);
    config_.tie_word_embeddings = find_tensor(model_, "output.weight") == nullptr;
    refuse_other_arithmetic();
    read_end_tokens();
    if (base_ == "orthrus") {
      config_.block_size = fields_.integer("orthrus.diffusion.block_size", 2, limits::kBlock);
      config_.mask_token_id =
          fields_.integer("tokenizer.ggml.mask_token_id", 0, config_.vocab_size - 1);
    }
    problems_.throw_if_any();
    return std::move(config_);
  }

 private:
  std::string key(std::string_view name) const { return fmt::format("{}.{}", base_, name); }

  void read_architecture() {
    refuse_other_kinds();
    base_ = fields_.text(kArchitecture);
    if (base_ == "qwen2") {
      config_.architecture = "Qwen2ForCausalLM";
      config_.has_qk_norm = false;
      config_.has_qkv_bias = true;
    } else if (base_ == "qwen3") {
      config_.architecture = "Qwen3ForCausalLM";
    } else if (base_ == "orthrus") {  // either of them as a base, with heads
      config_.architecture = "OrthrusLM";
      config_.has_qk_norm = find_tensor(model_, "blk.0.attn_q_norm.weight") != nullptr;
      config_.has_qkv_bias = find_tensor(model_, "blk.0.attn_q.bias") != nullptr;
    } else if (problems_.none()) {
      fields_.refuse(kArchitecture, "supported are \"qwen2\", \"qwen3\" and \"orthrus\"",
                     ErrorKind::kUnsupported);
    }
    problems_.throw_if_any();
  }

  // Files that are for a model, and none.
  void refuse_other_kinds() {
    constexpr const char* kKind = "general.type";
    const std::string_view kind = fields_.text(kKind, "model");
    if (fields_.text(kArchitecture, "") == "orthrus-heads") {
      fields_.refuse(
          kArchitecture,
          "these are heads for a model; give that, and the heads by --heads or beside it");
    } else if (kind == "adapter") {
      fields_.refuse(kKind, "merge the adapter into its base model first, and give the result",
                     ErrorKind::kUnsupported);
    } else if (kind == "mmproj" || kind == "imatrix") {
      fields_.refuse(kKind, "it belongs to a model; give the model's own file",
                     ErrorKind::kUnsupported);
    }
    problems_.throw_if_any();
  }

  void read_sizes() {
    config_.vocab_size = vocab_size();
    config_.hidden_size = fields_.integer(key("embedding_length"), 1, limits::kHidden);
    config_.intermediate_size =
        fields_.integer(key("feed_forward_length"), 1, limits::kIntermediate);
    config_.num_hidden_layers = fields_.integer(key("block_count"), 1, limits::kLayers);
  }

  // The rows of the embedding. The tokenizer may have fewer tokens.
  int vocab_size() {
    const Tensor* embedding = find_tensor(model_, "token_embd.weight");
    if (embedding == nullptr || embedding->shape.size() != 2 ||
        embedding->shape[0] > limits::kVocab) {
      throw Error(ErrorKind::kFile,
                  fmt::format("{}: has no tensor \"token_embd.weight\" of up to {} rows, which is "
                              "the vocabulary.",
                              model_.name, limits::kVocab));
    }
    const auto rows = static_cast<int>(embedding->shape[0]);
    const auto must_be = [&](const std::string& name) {
      if (fields_.has(name) && fields_.integer(name, 1, limits::kVocab) != rows) {
        fields_.refuse(name, fmt::format("token_embd.weight has {}", counted(rows, "row")));
      }
    };
    must_be(key("vocab_size"));
    if (vocabulary_ && vocabulary_->tokens.size() > static_cast<size_t>(rows)) {
      fields_.refuse(kTokens, fmt::format("token_embd.weight has only {}", counted(rows, "row")));
    }
    return rows;
  }

  void read_heads() {
    const int heads = fields_.integer(key("attention.head_count"), 1, limits::kHeads);
    const std::string kv_key = key("attention.head_count_kv");
    const int kv_heads = fields_.integer(kv_key, 1, limits::kHeads, heads);
    if (problems_.none() && heads % kv_heads != 0) {
      fields_.refuse(kv_key, fmt::format("it must divide {}, which is {}",
                                         key("attention.head_count"), heads));
    }
    config_.num_attention_heads = heads;
    config_.num_key_value_heads = kv_heads;
    read_head_dim(config_.hidden_size / heads);
  }

  void read_head_dim(int derived) {
    const std::string width_key = key("attention.key_length");
    config_.head_dim =
        fields_.has(width_key) ? fields_.integer(width_key, 2, limits::kHeadDim) : derived;
    if (!problems_.none()) return;
    if (config_.head_dim < 2 || config_.head_dim % 2 != 0 || config_.head_dim > limits::kHeadDim) {
      fields_.refuse(width_key,
                     fmt::format("the width of a head, which is {}, must be even and 2 to {}",
                                 config_.head_dim, limits::kHeadDim));
      return;
    }
    for (const char* name : {"attention.value_length", "rope.dimension_count"}) {
      if (fields_.integer(key(name), 0, std::numeric_limits<int>::max(), config_.head_dim) !=
          config_.head_dim) {
        fields_.refuse(
            key(name),
            fmt::format("supported is the width of a head, which is {}", config_.head_dim),
            ErrorKind::kUnsupported);
      }
    }
  }

  // Keys of the architecture that would make a layer compute something else than it does here:
  // those of rotation, attention and experts that are not known to be harmless.
  void refuse_other_arithmetic() {
    refuse_unless_zero("attention.sliding_window");
    refuse_unless_zero("expert_count");
    refuse_unless_zero("expert_used_count");
    if (!fields_.boolean(key("attention.causal"), true)) {
      fields_.refuse(key("attention.causal"), "supported is true", ErrorKind::kUnsupported);
    }
    const std::string scaling = key("rope.scaling.type");
    if (fields_.text(scaling, "none") != "none") {
      fields_.refuse(scaling, "supported is \"none\"", ErrorKind::kUnsupported);
    }
    constexpr std::string_view kKnown[] = {"attention.head_count",
                                           "attention.head_count_kv",
                                           "attention.key_length",
                                           "attention.value_length",
                                           "attention.layer_norm_rms_epsilon",
                                           "attention.sliding_window",
                                           "attention.causal",
                                           "expert_count",
                                           "expert_used_count",
                                           "rope.freq_base",
                                           "rope.dimension_count",
                                           "rope.scaling.type",
                                           "rope.scaling.original_context_length",
                                           "rope.scaling.finetuned"};
    for (const auto& [name, value] : model_.metadata.entries()) {
      if (!name.starts_with(base_ + ".")) continue;
      const std::string_view own = name.substr(base_.size() + 1);
      const bool matters =
          own.starts_with("attention.") || own.starts_with("rope.") || own.starts_with("expert");
      if (matters && std::ranges::find(kKnown, own) == std::end(kKnown)) {
        fields_.refuse(name, "the key is not supported", ErrorKind::kUnsupported);
      }
    }
  }

  void refuse_unless_zero(std::string_view name) {
    if (fields_.integer(key(name), 0, std::numeric_limits<int>::max(), 0) != 0) {
      fields_.refuse(key(name), "supported is 0", ErrorKind::kUnsupported);
    }
  }

  // The tokens that end a text: the file's own, and "<|endoftext|>". Qwen's chat models end a
  // message with <|im_end|>, which files name, and may end a text with the other; the
  // generation_config.json of those models names both, where a GGUF file has room for one.
  void read_end_tokens() {
    for (const char* name : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
      if (fields_.has(name)) add_end_token(fields_.integer(name, 0, config_.vocab_size - 1));
    }
    if (!vocabulary_) return;
    constexpr int32_t kControl = 3;
    const std::vector<std::string_view>& tokens = vocabulary_->tokens;
    const auto end = std::ranges::find(tokens, "<|endoftext|>");
    if (end == tokens.end()) return;
    const auto id = end - tokens.begin();
    if (vocabulary_->types[static_cast<size_t>(id)] == kControl) {
      add_end_token(static_cast<int32_t>(id));
    }
  }

  void add_end_token(int32_t id) {
    std::vector<int32_t>& ids = config_.eos_token_ids;
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  }

  const GgufModel& model_;
  const std::optional<Vocabulary>& vocabulary_;
  Problems problems_;
  GgufFields fields_;
  std::string base_;  // general.architecture, which keys of the network begin with
  ModelConfig config_;
};

}  // namespace

std::optional<Vocabulary> read_gguf_vocabulary(const GgufModel& model) {
  constexpr const char* kModel = "tokenizer.ggml.model";
  Problems problems;
  const GgufFields fields(model.metadata, model.name, problems);
  if (!fields.has(kModel)) return std::nullopt;
  Vocabulary vocabulary;
  vocabulary.name = model.name;
  if (fields.text(kModel) != "gpt2") {
    fields.refuse(kModel, "supported is \"gpt2\"", ErrorKind::kUnsupported);
    problems.throw_if_any();
  }
  vocabulary.pre = fields.text("tokenizer.ggml.pre");
  vocabulary.tokens = fields.texts(kTokens);
  vocabulary.types = fields.integers("tokenizer.ggml.token_type", 1, 6);
  vocabulary.merges = fields.texts("tokenizer.ggml.merges");
  if (problems.none() && vocabulary.tokens.size() > size_t{limits::kVocab}) {
    fields.refuse(kTokens, fmt::format("there may be {} at most", limits::kVocab));
  } else if (problems.none() && vocabulary.types.size() != vocabulary.tokens.size()) {
    fields.refuse("tokenizer.ggml.token_type",
                  fmt::format("the vocabulary has {}", counted(vocabulary.tokens.size(), "token")));
  }
  problems.throw_if_any();
  vocabulary.add_bos = fields.boolean("tokenizer.ggml.add_bos_token", false);
  constexpr const char* kBos = "tokenizer.ggml.bos_token_id";
  const int last = static_cast<int>(vocabulary.tokens.size()) - 1;
  if (fields.has(kBos)) vocabulary.bos_token_id = fields.integer(kBos, 0, last);
  problems.throw_if_any();
  return vocabulary;
}

ModelConfig read_gguf_config(const GgufModel& model, const std::optional<Vocabulary>& vocabulary) {
  return ConfigReader(model, vocabulary).read();
}

std::string read_gguf_chat_template(const GgufModel& model) {
  Problems problems;
  const GgufFields fields(model.metadata, model.name, problems);
  const std::string_view text = fields.text("tokenizer.chat_template", "");
  problems.throw_if_any();
  return std::string(text);
}

void translate_names(std::vector<Tensor>& tensors, const std::string& file) {
  for (Tensor& tensor : tensors) {
    std::optional<std::string> name = huggingface_name(tensor.name);
    if (!name) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("{}: tensor {} is not one of a Qwen2, Qwen3 or Orthrus network.",
                              file, in_quotes(tensor.name)));
    }
    tensor.name = std::move(*name);
  }
  std::ranges::sort(tensors, {}, &Tensor::name);
}

}  // namespace orthrus
