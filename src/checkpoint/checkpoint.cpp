#include "checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <system_error>
#include <utility>

#include "checkpoint/gguf/model.h"
#include "checkpoint/huggingface/directory.h"
#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {

namespace fs = std::filesystem;

namespace {

void check_is_there(const fs::path& model) {
  std::error_code ignored;
  if (fs::exists(model, ignored)) return;
  throw Error(ErrorKind::kFile,
              fmt::format("{}: is not there; a model is a directory that holds config.json and "
                          "model.safetensors, or a GGUF file.",
                          shown(model)));
}

// People name the folder that a download made. A folder of GGUF files is no model: they are.
void refuse_folder_of_gguf(const fs::path& directory) {
  if (has_entry(directory / "config.json")) return;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const fs::path name = it->path().filename();
    if (name.extension() == ".gguf") names.push_back(name.string());
  }
  if (names.empty()) return;
  std::ranges::sort(names);
  throw Error(ErrorKind::kFile,
              fmt::format("{}: has no config.json, but GGUF files; name the one that is the model: "
                          "{}.",
                          shown(directory), list_in_quotes(names)));
}

bool are_equal(const Tensor& a, const Tensor& b) {
  return a.type == b.type && a.shape == b.shape && std::memcmp(a.data, b.data, a.bytes) == 0;
}

}  // namespace

void check_is_model(const fs::path& model) {
  check_is_there(model);
  if (!is_gguf(model)) refuse_folder_of_gguf(model);
}

bool is_gguf(const fs::path& model) {
  std::error_code ignored;
  return !fs::is_directory(model, ignored);
}

Checkpoint Checkpoint::open(const fs::path& model) {
  check_is_model(model);
  return is_gguf(model) ? open_gguf_file(model) : open_directory(model);
}

Checkpoint Checkpoint::open_directory(const fs::path& directory) {
  Checkpoint checkpoint;
  checkpoint.name_ = shown(directory);
  checkpoint.config_ = read_huggingface_config(directory);
  MappedTensors weights = map_huggingface_weights(directory);
  checkpoint.maps_ = std::move(weights.maps);
  checkpoint.copies_ = std::move(weights.copies);
  checkpoint.tensors_ = std::move(weights.tensors);
  if (checkpoint.config_.tie_word_embeddings) checkpoint.resolve_tied_head();
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

const Tensor* Checkpoint::find(std::string_view name) const {
  const auto it = std::ranges::lower_bound(tensors_, name, {}, &Tensor::name);
  return it != tensors_.end() && it->name == name ? &*it : nullptr;
}

void Checkpoint::add_heads(Heads heads) {
  config_.block_size = heads.block_size.value_or(kUsualBlockSize);
  config_.mask_token_id = heads.mask_token_id.value_or(kUsualMaskTokenId);
  maps_.push_back(std::move(heads.map));
  std::ranges::move(heads.copies, std::back_inserter(copies_));
  std::ranges::move(heads.tensors, std::back_inserter(tensors_));
  std::ranges::sort(tensors_, {}, &Tensor::name);
  heads_ = HeadsSource{std::move(heads.name), std::move(heads.base)};
}

ModelConfig load_config(const fs::path& model) {
  check_is_model(model);
  if (!is_gguf(model)) return read_huggingface_config(model);
  const GgufModel file = open_gguf(model);
  return read_gguf_config(file, read_gguf_vocabulary(file));
}

std::string chat_template_of(const fs::path& model) {
  check_is_model(model);
  return is_gguf(model) ? read_gguf_chat_template(open_gguf(model)) : read_chat_template(model);
}

}  // namespace orthrus
