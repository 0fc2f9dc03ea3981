#include "checkpoint/huggingface/near_misses.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <vector>

#include "checkpoint/huggingface/directory.h"
#include "checkpoint/model_path.h"
#include "files/display.h"
#include "files/files.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostEntries = 4096;     // looked at of a directory
constexpr size_t kMostDirectories = 256;  // looked into for models
constexpr int kDepth = 3;                 // models--OWNER--NAME/snapshots/REVISION

// Of other libraries, or safetensors by another name.
constexpr std::array kWeights = {".safetensors", ".bin", ".pth",  ".pt",     ".ckpt",
                                 ".h5",          ".npz", ".onnx", ".msgpack"};

// The directories within it that hold a config.json, such as the snapshots in Hugging Face's cache
// or the checkpoints of a training, or a model in GGUF, by their paths from `directory`.
void add_models_below(const fs::path& directory, const fs::path& from_top, int depth, size_t& seen,
                      std::vector<std::string>& models) {
  for (const std::string& entry : names_in(directory, kMostEntries)) {
    std::error_code ignored;
    const fs::path path = directory / entry;
    if (!fs::is_directory(path, ignored)) continue;
    if (++seen > kMostDirectories) return;
    const fs::path name = from_top / entry;
    if (has_entry(path / "config.json") || !gguf_models_in(path, kMostEntries).empty()) {
      models.push_back(name.string());
    } else if (depth > 1) {
      add_models_below(path, name, depth - 1, seen, models);
    }
  }
}

bool has_unfinished_download(const fs::path& directory) {
  return std::ranges::any_of(names_in(directory / ".cache/huggingface/download", kMostEntries),
                             [](const std::string& name) { return name.ends_with(".incomplete"); });
}

}  // namespace

std::string what_it_holds(const fs::path& directory) {
  std::vector<std::string> weights, heads;
  for (const std::string& name : names_in(directory, kMostEntries)) {
    if (name.ends_with("heads.gguf") || name.ends_with("heads.safetensors")) {
      heads.push_back(name);
      continue;
    }
    if (name.starts_with("adapter_")) {
      return fmt::format(
          "It holds an adapter (LoRA), {}: merge that into its base model first, with peft's "
          "merge_and_unload() and save_pretrained(), and give the result.",
          in_quotes(name));
    }
    if (std::ranges::find(kWeights, fs::path(name).extension()) != kWeights.end()) {
      weights.push_back(name);
    }
  }
  if (has_unfinished_download(directory)) {
    return "Its download has not finished: repeat \"hf download\", which goes on.";
  }
  if (has_huggingface_weights(directory)) {
    return "Its weights are there: add the config.json that the model was published with.";
  }
  if (!weights.empty()) {
    return fmt::format("Found {}: convert to safetensors, or add the missing index.",
                       list_in_quotes(weights));
  }
  if (!heads.empty()) {
    return fmt::format("It has the heads for a model, {}: put the model's file beside them.",
                       list_in_quotes(heads));
  }
  std::vector<std::string> models;
  size_t seen = 0;
  add_models_below(directory, {}, kDepth, seen, models);
  if (models.size() == 1) {
    return fmt::format("A model is in {}; give that directory.", in_quotes(models.front()));
  }
  if (!models.empty()) {
    return fmt::format("Models are in {}; give one of these directories.", list_in_quotes(models));
  }
  return "There are no weights in it.";
}

}  // namespace orthrus
