// A model as files hold it: a directory in the published Hugging Face layout, or a GGUF file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/vocabulary.h"
#include "checkpoint/heads.h"
#include "checkpoint/model_path.h"
#include "checkpoint/tensor.h"
#include "files/files.h"
#include "orthrus/config.h"

namespace orthrus {

// Move-only; tensors' data and the vocabulary stay valid, and the maps read-only, while the
// Checkpoint lives. The files must not be changed meanwhile: see MappedFile.
class Checkpoint {
 public:
  // Where heads came from.
  struct HeadsSource {
    std::string name;  // of the file
    std::string base;  // what it calls the model that it is for, or ""
  };

  // Throws Error: kFile for a missing, unreadable or malformed file, kUnsupported for what the
  // engine does not do, kSystem when a file cannot be mapped. The message names file and field.
  // That the tensors are those of the configuration is bind_weights' to check.
  static Checkpoint open(const std::filesystem::path& model);

  // Gives the model a diffusion view, which it must not have: the heads' tensors and, as
  // kUsualBlockSize says it where they do not, their block size and mask token. That they fit the
  // model must have been checked.
  void add_heads(Heads heads);
  const std::optional<HeadsSource>& heads() const { return heads_; }  // those that were added

  // The directory or file: what was opened, or the file that it was taken for (resolve_model).
  const std::filesystem::path& path() const { return path_; }
  const std::string& name() const { return name_; }  // the path, for messages
  // As load_config, but for two fields of which the tensors decide: tie_word_embeddings is false
  // where they hold an LM head that differs from the embedding, and pair_rank is their tables'.
  const ModelConfig& config() const { return config_; }

  // By Hugging Face's names, sorted, whatever the files call them.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const Tensor* find(std::string_view name) const;  // null when there is none

  // The tokenizer: a file tokenizer.json, or a vocabulary. Nothing of both where there is none.
  const std::optional<std::filesystem::path>& tokenizer_file() const { return tokenizer_file_; }
  const std::optional<Vocabulary>& vocabulary() const { return vocabulary_; }

 private:
  Checkpoint() = default;

  static Checkpoint open_directory(const std::filesystem::path& directory);
  static Checkpoint open_gguf_file(const std::filesystem::path& file);
  void resolve_tied_head();
  void resolve_pairwise_term();

  std::filesystem::path path_;
  std::string name_;
  ModelConfig config_;
  std::vector<MappedFile> maps_;
  std::vector<Tensor> tensors_;
  std::optional<std::filesystem::path> tokenizer_file_;
  std::optional<Vocabulary> vocabulary_;
  std::optional<HeadsSource> heads_;
};

// The text of a model's chat template, "" when it has none; without looking at its weights. Throws
// as Checkpoint::open.
std::string chat_template_of(const std::filesystem::path& model);

}  // namespace orthrus
