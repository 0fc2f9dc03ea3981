// Loading a checkpoint and generating from it. examples/generate.cpp shows the whole of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/config.h"
#include "orthrus/device.h"
#include "orthrus/dtype.h"
#include "orthrus/generation.h"
#include "orthrus/load_progress.h"
#include "orthrus/measure.h"
#include "orthrus/request.h"
#include "orthrus/sampling.h"
#include "orthrus/status.h"
#include "orthrus/tokenizer.h"
#include "orthrus/weight_type.h"

namespace orthrus {

struct EngineOptions {
  Device device{};
  int threads = 0;  // 0: the physical cores that this process may use
  // The type that matrices are used in. By default native, each matrix as the file holds it, or
  // made-up ones in BF16; others are converted when loading, in memory of their own: to F32, F16,
  // BF16 or Q8_0, of which a CUDA device has the last two. There native blocks keep their integers,
  // and have scales and minimums rounded to BF16, as what is rounded to Q8_0 has; F32 and F16 are
  // BF16. So the numbers are not quite those of the processor. The type is part of the weights:
  // exactness holds within each.
  std::optional<WeightType> weights{};
  // The type of what drafts are made with: the diffusion view's attention, and copies of the shared
  // matrices where theirs is another. By default as `weights`. Changes the drafts, and so the
  // speed, alone. Needs a diffusion view.
  std::optional<WeightType> draft_weights{};
  // The type of the KV cache, F32 or BF16, which takes half the memory and rounds keys and values.
  // It is as much a part of the network as the weights' type: exactness holds within each. By
  // default F32 on the processor; a CUDA device has a BF16 cache only.
  std::optional<DType> kv_cache{};
  // Bytes for keys and values of all requests together, and of prompts that are kept for the next
  // one that begins alike. 0: what holds the longest context, and at least 65,536 positions where
  // there is room. A context that is longer than the cache is not accepted.
  uint64_t cache_memory = 0;
  int max_batch = 0;  // most requests that share a pass; 0: what suits the device
  // A file with the diffusion view's attention, safetensors or GGUF, for a model that has none of
  // its own. By default the one that lies beside the model, where there is one: for NAME.gguf the
  // first of NAME.heads.gguf, NAME.heads.safetensors, heads.gguf and heads.safetensors, for a
  // directory one of the last two in it; of a link also those beside what it leads to. "none" is
  // for none, not even those beside the model.
  std::optional<std::filesystem::path> heads{};
  // Called now and then while the model is loaded, or made up. What it throws comes out of that.
  LoadProgress on_load{};
};

// Throws Error(kUsage), naming option and value, for what Engine::generate would refuse of a model
// of this configuration. `tokenizer` is null where the model comes without one.
void validate(const Request& request, const ModelConfig& config, const Tokenizer* tokenizer);

// A model of which everything but the weights has been read and checked: configuration, headers and
// tokenizer, and the options that it is to be loaded with. That takes a moment, where loading takes
// long: what is wrong with a request can be told before. Once loaded, or moved from, all throws
// Error(kUsage).
class ModelFiles {
 public:
  // Opens a GGUF file, or any of several that a model is split into; or a directory in the
  // published Hugging Face layout: config.json, generation_config.json (optional),
  // model.safetensors or its shards, tokenizer.json (optional); or the one GGUF model that a
  // directory without these holds. Throws Error.
  static ModelFiles open(const std::filesystem::path& model, const EngineOptions& options = {});

  ModelFiles(ModelFiles&&) noexcept;
  ModelFiles& operator=(ModelFiles&&) noexcept;
  ~ModelFiles();

  const ModelConfig& config() const;
  const Tokenizer* tokenizer() const;                        // as Engine::tokenizer
  std::vector<int32_t> encode(std::string_view text) const;  // as Engine::encode

 private:
  friend class Engine;
  struct Impl;
  explicit ModelFiles(std::unique_ptr<Impl> impl);
  Impl& impl() const;
  std::unique_ptr<Impl> impl_;
};

class Session;

// A loaded checkpoint. Immutable: any number of threads may generate at once. One that was moved
// from can be assigned to and destroyed; all else throws Error(kUsage).
//
// Of its host process it asks little. Passes run on the calling thread and on threads of its own,
// which are made at the first pass, block signals, and sleep between passes. A calling thread needs
// a stack of 96 KiB. Whatever its floating-point environment is, the tokens are the same, and its
// callbacks run in it. A process that was forked after loading may generate, with threads of its
// own; on a CUDA device that is an Error(kSystem), and the model must be loaded after the fork.
//
// When a device fails (Status::kDeviceLost), nothing can be computed with its engine any more:
// every later generate() gives that status at once, and what reports no status throws
// Error(kSystem).
class Engine {
 public:
  // Opens a model as ModelFiles does, and loads it. Throws Error; kSystem before weights are read
  // when they cannot fit in the memory that this process may have, or that the device has free.
  // While it is in use, rows of the embedding are read from the file, which must not be cut or
  // overwritten in place meanwhile.
  static Engine load(const std::filesystem::path& model, const EngineOptions& options = {});
  static Engine load(ModelFiles files);

  // A network of this shape (published_shapes.h) whose weights are made up, BF16 unless `options`
  // say otherwise, for measuring speeds without a checkpoint. `config` is taken as it is, without
  // load_config's checks. Throws Error(kSystem) when this machine's memory is too small for it.
  static Engine synthetic(const ModelConfig& config, const EngineOptions& options = {});

  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  const ModelConfig& config() const;
  // The types of the matrices that an AR pass reads, those with the most bytes first: a GGUF file
  // mixes several.
  std::vector<DType> weight_types() const;
  // The same of a draft pass; none without a diffusion view.
  std::vector<DType> draft_weight_types() const;
  // The formats of blocks in the file whose matrices were widened to BF16 when loading, all of them
  // or some: a CUDA device was asked for BF16 weights, or multiplies with gate and up at once, and
  // theirs do not fit one form. None on the processor, which takes them all.
  std::vector<DType> widened_types() const;
  DType kv_cache() const;
  Device device() const;
  const Tokenizer* tokenizer() const;  // null when the model comes without one
  int threads() const;

  // The ids of a prompt. Throws Error(kUsage) for text that is not UTF-8, or no tokenizer.
  std::vector<int32_t> encode(std::string_view text) const;

  // Continues one prompt. Throws Error(kUsage), naming option and value, for options or prompts
  // outside their ranges; Error(kSystem) or std::bad_alloc when there is no room to begin. What
  // happens while decoding is told by Generation::status.
  Generation generate(const Request& request) const;

  // Continues several prompts together, sharing each forward pass. Every one comes out as it would
  // alone. An invalid request throws before any has begun.
  std::vector<Generation> generate(std::span<const Request> requests) const;

  // How likely the AR view finds a text: the natural logarithms of the probabilities of
  // tokens[first], tokens[first + 1], ..., each after all tokens before it, at temperature 1 and
  // without other sampling rules. Throws Error(kUsage) unless there are 2..max_position_embeddings
  // tokens, all of the vocabulary, and `first` is one of them but the first; Error(kSystem) when a
  // pass fails.
  std::vector<double> score(std::span<const int32_t> tokens, int first = 1) const;

  // What passes of these shapes take, and what the machine gives meanwhile, in `rounds` rounds, at
  // least 1. Each pass runs once before it is timed, and the KV cache holds random numbers. Throws
  // Error(kUsage) for a shape that the model has not: rows outside 1..max_position_embeddings (of
  // a draft: 1..block_size - 1), or a context that leaves no room for them; Error(kSystem), which
  // for a context names what it needs and what is there, or std::bad_alloc when memory is
  // exhausted. `cancelled` is asked before each pass; once it says so there is no result: no
  // passes.
  Roofline measure(std::span<const PassShape> shapes, int rounds,
                   const std::function<bool()>& cancelled = {}) const;

  // A conversation that keeps its keys and values from one generation to the next. Throws
  // Error(kSystem) or std::bad_alloc when there is no room for it.
  Session start_session() const;

  // Of use inside the library only.
  struct Impl;
  explicit Engine(std::shared_ptr<const Impl> impl);
  const std::shared_ptr<const Impl>& shared_impl() const { return impl_; }

 private:
  friend class Session;
  const Impl& impl() const;
  std::shared_ptr<const Impl> impl_;
};

// One conversation. The Engine may be gone before it. One generation at a time: while it generates,
// in its callbacks or from another thread, it refuses to. One that was moved from can be assigned
// to and destroyed.
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // As Engine::generate; Error(kUsage) too while it generates, or when it was moved from. Where the
  // prompt begins as the previous one and its output did, those tokens are not computed again.
  Generation generate(const Request& request);

 private:
  friend class Engine;
  struct Impl;
  explicit Session(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace orthrus
