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
#include "orthrus/dtype.h"
#include "orthrus/load_progress.h"
#include "orthrus/measure.h"
#include "orthrus/sampling.h"
#include "orthrus/status.h"
#include "orthrus/tokenizer.h"

namespace orthrus {

enum class Mode : uint8_t {
  kAr,    // plain autoregressive decoding: one pass a token
  kDual,  // draft in the diffusion view, verify in the AR view: the same tokens in fewer passes
  kAuto,  // the same, but where it pays and as much as pays, by what passes take and drafts are
          // worth while it runs; without a diffusion view kAr. With kRejection at a temperature it
          // is kDual, since what that gives depends on the drafts.
};

std::string_view name_of(Mode mode);  // "ar", "dual", "auto"

enum class FinishReason : uint8_t {
  kStop,       // an end-of-sequence token, or a stop string
  kLength,     // max_tokens, or the end of the context
  kCancelled,  // a callback said so
  kFailed,     // see Generation::status
};
std::string_view name_of(FinishReason reason);  // "stop", "length", "cancelled", "failed"

// Fields marked `how:` change the speed, never the tokens (AcceptRule::kRejection with a
// temperature apart).
struct GenerateOptions {
  int max_tokens = 256;  // >= 1; capped by the context that the prompt leaves
  SamplingParams sampling;
  std::vector<std::string> stop;        // strings, or special tokens by name, that end the text,
                                        // which stops before them
  bool ignore_eos = false;              // go on after the checkpoint's end-of-sequence tokens
  std::vector<int32_t> stop_token_ids;  // further tokens that end the sequence: among the ids,
                                        // not in the text

  std::optional<Mode> mode;  // how: by default kAuto
  int block_size = 0;        // how: most tokens of a draft block, 2..config().block_size; 0: all
  AcceptRule accept = AcceptRule::kMatch;
  int prefill_chunk = 0;  // how: most tokens of this prompt in one pass; 0: what suits the device
};

// What one forward pass contributed.
struct Step {
  std::span<const int32_t> tokens;  // that it emitted; never empty
  std::string_view text;            // that became certain with them; may be empty
  int drafted = 0;                  // drafts that the pass verified; 0 in a plain AR step
  int accepted = 0;                 // how many of them were right
};

struct GenerationStats {
  int prefill_passes = 0;    // one for each chunk of the prompt
  int cached_tokens = 0;     // prompt tokens whose keys a session still had
  int ar_passes = 0;         // verify passes and plain AR steps
  int diffusion_passes = 0;  // draft passes
  int cycles = 0;            // of draft, or drafts left over, verify and accept
  int accepted = 0;          // drafts accepted
  double prefill_seconds = 0;
  double decode_seconds = 0;
  int generated = 0;  // tokens, the end-of-sequence token included

  // How much was drafted: drafted[d] cycles of d drafts, drafted[0] plain steps; of those that
  // drafted, verified[n] that verified n of them; and leftover[n] cycles that verified n drafts
  // left over from an earlier block, which only mode auto does.
  std::vector<int> drafted, verified, leftover;
  // Of the verified drafts, how many mode auto expected to be accepted.
  double expected_accepted = 0;

  // Accepted drafts a cycle, the bonus token not counted.
  double acceptance_length() const { return cycles == 0 ? 0.0 : double(accepted) / cycles; }
  // Generated tokens a forward pass; however many chunks it took, the prefill counts as one.
  double tokens_per_forward() const {
    const int passes = 1 + ar_passes + diffusion_passes;
    return double(generated) / passes;
  }
  // Of decoding: the first token, which the prefill gives, is not counted.
  double tokens_per_second() const {
    return generated > 1 && decode_seconds > 0 ? (generated - 1) / decode_seconds : 0.0;
  }
};

struct Generation {
  std::vector<int32_t> output_ids;  // without the prompt; the token that ended it is the last
  std::string text;                 // of output_ids, up to a stop string; empty without a tokenizer
  FinishReason finish_reason = FinishReason::kStop;
  Status status = Status::kOk;
  GenerationStats stats;
};

struct Request {
  std::vector<int32_t> prompt;  // 1..max_position_embeddings - 1 token ids
  GenerateOptions options;
  // Callbacks are called by the thread that called generate(). What one throws, std::bad_alloc too,
  // comes out of generate(), and ends every request of the call. A callback may use the engine,
  // other sessions and engines; not the session that is generating, which refuses (Error(kUsage)),
  // nor the requests of the call, which must not change. It may destroy or move the Engine or the
  // Session: their generation goes on to its end.

  // Called after every pass that emitted tokens; returning false ends the generation there.
  std::function<bool(const Step&)> on_step;
  // Called after every prefill pass with prompt tokens done and in all; false ends the generation.
  std::function<bool(int done, int total)> on_prefill;
};

// What runs the passes: the processor, or a CUDA device, counted from 0.
struct Device {
  enum class Kind : uint8_t { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int ordinal = 0;

  bool operator==(const Device&) const = default;
};
std::string name_of(const Device& device);  // "cpu", "cuda:0"

// How many CUDA devices there are; 0 in a build that has no kernels for them.
int cuda_devices();

struct EngineOptions {
  Device device{};
  int threads = 0;  // 0: the physical cores that this process may use
  // The type that matrices are used in; by default each as the file holds it. Other ones are
  // converted when loading, in memory of their own: to F32, F16, BF16 or Q8_0. The type is part of
  // the weights: exactness holds within each.
  std::optional<DType> weights{};
  // The type of what drafts are made with: the diffusion view's attention, and copies of the shared
  // matrices if it is another one than theirs. Changes the drafts, and so the speed, alone. Needs a
  // diffusion view.
  std::optional<DType> draft_weights{};
  // The type of the KV cache, F32 or BF16, which takes half the memory and rounds keys and values.
  // It is as much a part of the network as the weights' type: exactness holds within each. By
  // default F32 on the processor; a CUDA device has BF16 weights and a BF16 cache only.
  std::optional<DType> kv_cache{};
  // A file with the diffusion view's attention, safetensors or GGUF, for a model that has none of
  // its own. By default the one that lies beside the model, where there is one: for NAME.gguf the
  // first of NAME.heads.gguf, NAME.heads.safetensors, heads.gguf and heads.safetensors, for a
  // directory one of the last two in it. "none" is for none, not even those beside the model.
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
  // The formats of blocks that the file has and the device has not: such matrices were widened to
  // BF16 when loading. None on the processor, which takes them all.
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
  // exhausted.
  Roofline measure(std::span<const PassShape> shapes, int rounds) const;

  // A conversation that keeps its keys and values from one generation to the next. Throws
  // Error(kSystem) or std::bad_alloc when there is no room for it.
  Session start_session() const;

  // Of use inside the library only.
  struct Impl;
  explicit Engine(std::shared_ptr<const Impl> impl);

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
