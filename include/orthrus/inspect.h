// What a checkpoint is made of, without running it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "orthrus/chat.h"
#include "orthrus/config.h"
#include "orthrus/dtype.h"

namespace orthrus {

struct TensorInfo {
  std::string name;
  std::string part;  // "embedding", "attention (AR view)", "attention (diffusion view)", "MLP",
                     // "norms", "LM head", "pairwise (diffusion view)"
  DType type;
  std::vector<int64_t> shape;
  int64_t parameters;
  int64_t bytes;  // of all that it is stored in
  // How a quantized matrix of a Hugging Face directory is stored, "AWQ int4, groups of 128"; `type`
  // is then the format that has its very numbers. Else "".
  std::string encoding = {};
};

struct PartInfo {
  std::string name;
  int64_t parameters = 0;
  int64_t bytes = 0;
};

// The tensors of one number format and encoding.
struct FormatInfo {
  DType type;
  std::string encoding = {};  // of TensorInfo
  int tensors = 0;
  int64_t parameters = 0;
  int64_t bytes = 0;
};

// The tokenizer that a GGUF file holds.
struct VocabularyInfo {
  int tokens = 0;
  int merges = 0;
  std::string pre;        // how text is split: "qwen2"
  int bos_token_id = -1;  // -1: none
  bool adds_bos = false;  // whether a prompt begins with it
};

// Heads that come from a file of their own.
struct HeadsInfo {
  std::string file;
  std::string base;  // what the file calls the model that it is for, or ""; any text
  int64_t parameters = 0;
  int64_t bytes = 0;
};

struct CheckpointInfo {
  ModelConfig config;
  std::vector<TensorInfo> tensors;  // in the order of the network
  std::vector<PartInfo> parts;
  std::vector<FormatInfo> formats;  // in the order of encoding, none first, and DType
  bool has_tokenizer = false;
  std::optional<VocabularyInfo> vocabulary;  // of GGUF files that have a tokenizer
  ChatFormat chat_format = ChatFormat::kNone;
  std::optional<HeadsInfo> heads;
  PartInfo ar_view;  // what an AR pass uses: everything but what is the diffusion view's alone
  PartInfo diffusion_view;  // what a diffusion pass uses; zeros when there is none
  PartInfo total;
  int64_t cache_bytes_per_token = 0;  // keys and values of one position, page padding not counted
};

// Reads and checks the configuration and headers of a model, a directory or a GGUF file, and of its
// heads, which are chosen as EngineOptions::heads says; not the weights' values, but for the scales
// of quantized directories. Throws Error.
CheckpointInfo inspect(const std::filesystem::path& model,
                       const std::optional<std::filesystem::path>& heads = {});

}  // namespace orthrus
