#include "engine/request.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "orthrus/error.h"

namespace orthrus {
namespace {

[[noreturn]] void usage(const std::string& message) {
  throw Error(ErrorKind::kUsage, message);
}

void check_range(bool valid, std::string_view name, auto value, std::string_view range) {
  if (!valid) usage(fmt::format("{} is {}; valid is {}.", name, value, range));
}

void check_prompt(const ModelConfig& config, std::span<const int32_t> prompt) {
  if (prompt.empty()) usage("The prompt is empty; it must have at least one token.");
  if (prompt.size() >= static_cast<size_t>(config.max_position_embeddings)) {
    usage(fmt::format("The prompt has {} tokens; this model's context of {} allows at most {}.",
                      prompt.size(), config.max_position_embeddings,
                      config.max_position_embeddings - 1));
  }
  check_token_ids(config, "Prompt token", prompt);
}

// A suppressed token is never chosen, so that one must not be.
void check_biases(const ModelConfig& config, std::span<const TokenBias> biases) {
  constexpr float kSuppressed = -std::numeric_limits<float>::infinity();
  std::set<int32_t> suppressed;
  for (const auto& [token, bias] : biases) {
    check_range(token >= 0 && token < config.vocab_size, "logit_bias: a token", token,
                fmt::format("0 to {} for this model", config.vocab_size - 1));
    check_range((bias >= -100 && bias <= 100) || bias == kSuppressed,
                fmt::format("logit_bias of token {}", token), bias, "-100 to 100, or -infinity");
    if (bias == kSuppressed) suppressed.insert(token);
  }
  if (suppressed.size() == static_cast<size_t>(config.vocab_size)) {
    usage(fmt::format("logit_bias suppresses all {} tokens of this model.", config.vocab_size));
  }
}

void check_sampling(const ModelConfig& config, const SamplingParams& s) {
  check_range(s.temperature >= 0 && s.temperature <= 100, "temperature", s.temperature, "0 to 100");
  check_range(s.top_k >= 0, "top_k", s.top_k, "0 (off) or more");
  check_range(s.top_p > 0 && s.top_p <= 1, "top_p", s.top_p, "above 0, up to 1");
  check_range(s.min_p >= 0 && s.min_p <= 1, "min_p", s.min_p, "0 to 1");
  check_range(s.repetition_penalty >= 1e-6f && s.repetition_penalty <= 100, "repetition_penalty",
              s.repetition_penalty, "1e-06 to 100");
  check_range(s.presence_penalty >= -2 && s.presence_penalty <= 2, "presence_penalty",
              s.presence_penalty, "-2 to 2");
  check_range(s.frequency_penalty >= -2 && s.frequency_penalty <= 2, "frequency_penalty",
              s.frequency_penalty, "-2 to 2");
  check_biases(config, s.logit_bias);
}

// Without a diffusion view, and what is looked up, there is nothing to choose from.
Mode mode_of(const ModelConfig& config, const GenerateOptions& options) {
  const Mode mode = options.mode.value_or(Mode::kAuto);
  const bool drafts = config.has_diffusion_view() || options.lookup;
  return mode == Mode::kAuto && !drafts ? Mode::kAr : mode;
}

int block_size_of(const ModelConfig& config, const GenerateOptions& options) {
  const Mode mode = mode_of(config, options);
  if (mode == Mode::kAr || (mode == Mode::kAuto && !config.has_diffusion_view())) {
    if (options.block_size != 0) {
      usage(fmt::format("block_size is {}, but {} drafts no blocks.", options.block_size,
                        config.has_diffusion_view()
                            ? "mode ar"
                            : "a checkpoint without a diffusion view, or heads for it,"));
    }
    return 1;
  }
  if (!config.has_diffusion_view()) {
    usage(
        fmt::format("Mode {} needs a checkpoint with a diffusion view (OrthrusLM), or heads for "
                    "it; this one is {}, which has the AR view only.",
                    name_of(mode), config.architecture));
  }
  if (options.block_size == 0) return config.block_size;
  check_range(options.block_size >= 2 && options.block_size <= config.block_size, "block_size",
              options.block_size, fmt::format("2 to {} for this model", config.block_size));
  return options.block_size;
}

int tree_nodes_of(const ModelConfig& config, const Request& request) {
  const GenerateOptions& options = request.options;
  if (options.tree_nodes) {
    check_range(*options.tree_nodes == 0 ||
                    (*options.tree_nodes >= 2 && *options.tree_nodes <= kMostTreeNodes),
                "tree_nodes", *options.tree_nodes,
                fmt::format("2 to {}, or 0 for chains", kMostTreeNodes));
  }
  const bool blocks = mode_of(config, options) != Mode::kAr && config.has_diffusion_view();
  if (!blocks && options.tree_nodes.value_or(0) != 0) {
    usage(fmt::format("tree_nodes is {}, but {} drafts no trees.", *options.tree_nodes,
                      config.has_diffusion_view()
                          ? "mode ar"
                          : "a checkpoint without a diffusion view, or heads for it,"));
  }
  return options.tree_nodes.value_or(blocks && chooses(config, request) ? kUsualTreeNodes : 0);
}

}  // namespace

void check_token_ids(const ModelConfig& config, std::string_view what,
                     std::span<const int32_t> ids) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= config.vocab_size) {
      usage(fmt::format("{} {} has id {}; this model's ids are 0 to {}.", what, i, ids[i],
                        config.vocab_size - 1));
    }
  }
}

DecodeParams check_request(const ModelConfig& config, const Request& request,
                           const Tokenizer* tokenizer) {
  const GenerateOptions& options = request.options;
  check_prompt(config, request.prompt);
  check_sampling(config, options.sampling);
  check_range(options.max_tokens >= 1, "max_tokens", options.max_tokens, "1 or more");
  constexpr int kMostLogprobs = 20;
  for (const auto& [name, count] : {std::pair("logprobs", options.logprobs),
                                    std::pair("prompt_logprobs", options.prompt_logprobs)}) {
    if (count) check_range(*count >= 0 && *count <= kMostLogprobs, name, *count, "0 to 20");
  }
  check_range(options.prefill_chunk >= 0, "prefill_chunk", options.prefill_chunk,
              "1 or more, or 0 for what suits the device");
  std::vector<int32_t> stop_token_ids = options.stop_token_ids;
  for (const std::string& stop : options.stop) {
    if (stop.empty()) usage("A stop string is empty; it must have at least one character.");
    if (tokenizer == nullptr) {
      usage("Stop strings need a tokenizer, which this model lacks.");
    }
    const auto added = tokenizer->find_added(stop);
    if (added && *added < config.vocab_size) stop_token_ids.push_back(*added);
  }
  for (const int32_t id : options.stop_token_ids) {
    check_range(id >= 0 && id < config.vocab_size, "A stop token id", id,
                fmt::format("0 to {} for this model", config.vocab_size - 1));
  }
  if (!options.ignore_eos) {
    stop_token_ids.insert(stop_token_ids.end(), config.eos_token_ids.begin(),
                          config.eos_token_ids.end());
  }
  const int room = config.max_position_embeddings - static_cast<int>(request.prompt.size());
  return {.block_size = block_size_of(config, options),
          .tree_nodes = tree_nodes_of(config, request),
          .accept = options.accept,
          .lookup = options.lookup && chooses(config, request),
          .sampling = options.sampling,
          .max_tokens = std::min(options.max_tokens, room),
          .stop_token_ids = std::move(stop_token_ids),
          .prefill_chunk = options.prefill_chunk,
          .logprobs = options.logprobs,
          .prompt_logprobs = options.prompt_logprobs};
}

void validate(const Request& request, const ModelConfig& config, const Tokenizer* tokenizer) {
  check_request(config, request, tokenizer);
}

bool chooses(const ModelConfig& config, const Request& request) {
  const GenerateOptions& options = request.options;
  const bool depends_on_drafts =
      options.accept == AcceptRule::kRejection && !options.sampling.greedy();
  return mode_of(config, options) == Mode::kAuto && !depends_on_drafts;
}

}  // namespace orthrus
