#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/float_environment.h"
#include "checkpoint/gguf/model.h"
#include "checkpoint/huggingface/directory.h"
#include "files/display.h"

namespace orthrus {

namespace fs = std::filesystem;

namespace {

bool are_equal(const Tensor& a, const Tensor& b) {
  if (a.encoding || b.encoding) return false;
  return a.type == b.type && a.shape == b.shape && std::memcmp(a.data, b.data, a.bytes) == 0;
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& model) {
  fs::path path = resolve_model(model);
  Checkpoint checkpoint = is_gguf(path) ? open_gguf_file(path) : open_directory(path);
  checkpoint.path_ = std::move(path);
  return checkpoint;
}

Checkpoint Checkpoint::open_directory(const fs::path& directory) {
  Checkpoint checkpoint;
  checkpoint.name_ = shown(directory);
  checkpoint.config_ = read_huggingface_config(directory);
  MappedTensors weights =
      map_huggingface_weights(directory, read_huggingface_quantization(directory));
  checkpoint.maps_ = std::move(weights.maps);
  checkpoint.tensors_ = std::move(weights.tensors);
  if (checkpoint.config_.tie_word_embeddings) checkpoint.resolve_tied_head();
  checkpoint.resolve_pairwise_term();
  fs::path tokenizer = directory / "tokenizer.json";
  if (has_entry(tokenizer)) checkpoint.tokenizer_file_ = std::move(tokenizer);
  return checkpoint;
}

Checkpoint Checkpoint::open_gguf_file(const fs::path& file) {
  Checkpoint checkpoint;
  GgufModel model = open_gguf(file);
  checkpoint.name_ = model.name;
  checkpoint.vocabulary_ = read_gguf_vocabulary(model);
  checkpoint.config_ = read_gguf_config(model, checkpoint.vocabulary_);
  translate_names(model.tensors, model.name);
  checkpoint.maps_ = std::move(model.maps);
  checkpoint.tensors_ = std::move(model.tensors);
  checkpoint.resolve_pairwise_term();
  return checkpoint;
}

// Of a tied pair, files hold the embedding, or the head alone, or both. As in transformers, a head
// that differs from the embedding is one of its own; an equal one is not needed.
void Checkpoint::resolve_tied_head() {
  constexpr const char* kEmbedding = "model.embed_tokens.weight";
  const auto head = std::ranges::find(tensors_, "lm_head.weight", &Tensor::name);
  if (head == tensors_.end()) return;
  const Tensor* embedding = find(kEmbedding);
  if (embedding == nullptr) {
    head->name = kEmbedding;
    std::ranges::sort(tensors_, {}, &Tensor::name);
  } else if (are_equal(*head, *embedding)) {
    tensors_.erase(head);
  } else {
    config_.tie_word_embeddings = false;
  }
}

void Checkpoint::resolve_pairwise_term() {
  if (config_.has_diffusion_view()) config_.pair_rank = pair_rank_of(tensors_, name_);
}

const Tensor* Checkpoint::find(std::string_view name) const {
  const auto it = std::ranges::lower_bound(tensors_, name, {}, &Tensor::name);
  return it != tensors_.end() && it->name == name ? &*it : nullptr;
}

void Checkpoint::add_heads(Heads heads) {
  config_.block_size = heads.block_size.value_or(kUsualBlockSize);
  config_.mask_token_id = heads.mask_token_id.value_or(kUsualMaskTokenId);
  config_.pair_rank = pair_rank_of(heads.tensors, heads.name);
  maps_.push_back(std::move(heads.map));
  std::ranges::move(heads.tensors, std::back_inserter(tensors_));
  std::ranges::sort(tensors_, {}, &Tensor::name);
  heads_ = HeadsSource{std::move(heads.name), std::move(heads.base)};
}

ModelConfig load_config(const fs::path& model) {
  const FloatEnvironment ours;
  const fs::path path = resolve_model(model);
  if (!is_gguf(path)) return read_huggingface_config(path);
  const GgufModel file = open_gguf(path);
  return read_gguf_config(file, read_gguf_vocabulary(file));
}

std::string chat_template_of(const fs::path& model) {
  const fs::path path = resolve_model(model);
  return is_gguf(path) ? read_gguf_chat_template(open_gguf(path)) : read_chat_template(path);
}

}  // namespace orthrus
