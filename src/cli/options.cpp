#include "cli/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

#include "cli/choices.h"
#include "cli/command_line.h"
#include "cli/numbers.h"

namespace orthrus::cli {
namespace {

constexpr const char* kSampling = "Sampling (by default what the checkpoint suggests, else greedy)";
constexpr const char* kDecoding = "Decoding (how fast; not which tokens, save for rejection)";

// `flags` end in the long name. `Target` is T or std::optional<T>.
template <typename T, typename Target>
CLI::Option* add_number(CLI::App& app, const std::string& flags, Target& target, Range<T> range,
                        const std::string& description) {
  const auto set = [&target, range = std::move(range), name = flags.substr(flags.find("--"))](
                       const std::string& text) { target = parse_number(name, text, range); };
  return app.add_option_function<std::string>(flags, set, description)->type_name("N");
}

}  // namespace

CLI::Option* add_count(CLI::App& app, const std::string& flags, int& value,
                       const std::string& description, int most) {
  return add_number(app, flags, value,
                    Range<int>{1, most, fmt::format("a whole number from 1 to {}", most)},
                    description)
      ->default_str(std::to_string(value));
}

CLI::Option* add_whole_number(CLI::App& app, const std::string& flags, int& value, Range<int> range,
                              const std::string& description) {
  return add_number(app, flags, value, std::move(range), description)
      ->default_str(std::to_string(value));
}

CLI::Option* add_size(CLI::App& app, const std::string& flags, uint64_t& bytes,
                      const std::string& description) {
  const auto set = [&bytes, name = flags.substr(flags.find("--"))](const std::string& text) {
    const std::optional<uint64_t> size = bytes_in(text);
    if (!size || *size == 0) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{} is {}; valid is a size above 0 and below 16777216TiB, as 4GiB, "
                              "512MiB or 1000000.",
                              name, in_quotes(text)));
    }
    bytes = *size;
  };
  return app.add_option_function<std::string>(flags, set, description)->type_name("SIZE");
}

void refuse_empty(CLI::Option* option) {
  option->check([option](const std::string& text) {
    if (text.empty()) {
      const std::string type = option->get_type_name();
      throw Error(ErrorKind::kUsage, fmt::format("{}: the {} is empty.", name_of(*option),
                                                 type == "TEXT"  ? "text"
                                                 : type == "KEY" ? "key"
                                                                 : "name"));
    }
    return std::string();
  });
}

void add_block_size(CLI::App& app, int& block_size) {
  constexpr int kMost = std::numeric_limits<int>::max();
  add_number(app, "--block-size", block_size,
             Range<int>{2, kMost, "a whole number from 2 to the checkpoint's block size"},
             "Most tokens of a draft block; by default the checkpoint's block size")
      ->group(kDecoding);
}

void add_tree_nodes(CLI::App& app, std::optional<int>& nodes) {
  add_number(
      app, "--tree-nodes", nodes, Range<int>{0, 128, "0, or a whole number from 2 to 128"},
      "Most drafts verified at a time, as a tree, the token before them included; 0 for chains. By "
      "default 32 in mode auto, else 0")
      ->group(kDecoding);
}

void add_lookup(CLI::App& app, bool& lookup) {
  add_choice<bool>(app, "--lookup", lookup, {{"on", true}, {"off", false}},
                   "In mode auto: whether what followed where the same tokens stood before is "
                   "verified where that pays, on or off")
      ->default_str("on")
      ->group(kDecoding);
}

void add_color(CLI::App& app, ColorChoice& color) {
  add_choice<ColorChoice>(
      app, "--color", color,
      {{"auto", ColorChoice::kAuto},
       {"always", ColorChoice::kAlways},
       {"never", ColorChoice::kNever}},
      "Show by colour what each forward pass gave: auto (on a terminal), always "
      "or never")
      ->default_str("auto");
}

namespace {

Device parse_device(const std::string& text) {
  if (const std::optional<Device> device = device_in(text)) return *device;
  throw Error(ErrorKind::kUsage,
              fmt::format("--device is {}; valid is cpu, cuda or cuda:N.", in_quotes(text)));
}

}  // namespace

void add_heads(CLI::App& app, std::optional<std::string>& heads) {
  refuse_empty(app.add_option("--heads", heads,
                              "The diffusion view's attention, safetensors or GGUF, of a model "
                              "without; by default heads.gguf and the like beside the model, which "
                              "none leaves out")
                   ->type_name("FILE"));
}

void ModelOptions::add_to(CLI::App& app) {
  add_to(app, true);
}

void ModelOptions::add_to(CLI::App& app, bool required) {
  refuse_empty(app.add_option("-m,--model", directory,
                              "A GGUF file, or a directory with config.json, model.safetensors, "
                              "tokenizer.json")
                   ->type_name("MODEL")
                   ->required(required));
  add_heads(app, heads);
  app.add_option_function<std::string>(
         "--device", [this](const std::string& text) { device = parse_device(text); },
         "What runs the model: cpu, or cuda, the first CUDA device, or cuda:N")
      ->type_name("DEVICE")
      ->default_str("cpu");
  add_number(app, "--threads", threads, Range<int>{0, 1024, "a whole number from 0 to 1024"},
             "Threads; 0 is the physical cores that this process may use")
      ->default_str("0");
  add_choice<WeightType>(
      app, "--weights", weights, weight_choices(),
      "Type of the weights in memory: f32, f16, bf16, q8_0 (8 bits), or native, what the file "
      "holds (default native). A CUDA device has bf16, q8_0 and native, and BF16 scales in blocks, "
      "so that its tokens are not always the processor's");
  add_choice<WeightType>(app, "--draft-weights", draft_weights, weight_choices(),
                         "Type of the weights that drafts are made with; by default as --weights. "
                         "With BF16 or F32 models q8_0 drafts faster, the tokens stay the same, "
                         "and memory holds both");
  add_choice<DType>(app, "--kv-cache", kv_cache, kv_cache_choices(),
                    "Type of the KV cache: f32, or bf16, which takes half the memory and is faster "
                    "at long contexts, but rounds keys and values; by default f32 on the "
                    "processor and bf16 on a CUDA device");
}

EngineOptions ModelOptions::engine_options() const {
  EngineOptions options{.device = device,
                        .threads = threads,
                        .weights = weights,
                        .draft_weights = draft_weights,
                        .kv_cache = kv_cache};
  if (heads) options.heads = *heads;
  return options;
}

// A short one, which people can type, and which JSON's readers keep.
void SeedOption::draw() {
  value = std::random_device{}();
  drawn = true;
}

void SeedOption::add_to(CLI::App& app, const std::string& group) {
  const auto set = [this](const std::string& text) {
    if (text == "random") return draw();
    drawn = false;
    // Negative ones are OpenAI's: the same 64 bits.
    if (const auto negative = number_in<int64_t>(text); negative && *negative < 0) {
      value = static_cast<uint64_t>(*negative);
      return;
    }
    constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
    constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
    value = parse_number(
        "--seed", text,
        Range<uint64_t>{0, kMost,
                        fmt::format("a whole number from {} to {}, or random", kLeast, kMost)});
  };
  app.add_option_function<std::string>("--seed", set,
                                       "The same seed gives the same tokens; random draws one")
      ->type_name("N")
      ->default_str(drawn ? "random" : "0")
      ->group(group);
}

void SamplingOptions::add_to(CLI::App& app) {
  constexpr int kMaxInt = std::numeric_limits<int>::max();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  add_number(app, "--temperature", temperature, Range<float>{0, 100, "a number from 0 to 100"},
             "0 is greedy: then only the penalties have an effect")
      ->group(kSampling);
  add_number(app, "--top-k", top_k,
             Range<int>{0, kMaxInt, fmt::format("a whole number from 0 (off) to {}", kMaxInt)},
             "Keep the N likeliest tokens; 0 keeps all")
      ->group(kSampling);
  add_number(app, "--top-p", top_p, Range<float>{kTiny, 1, "a number above 0, up to 1"},
             "Keep the fewest likeliest tokens that together have probability N")
      ->group(kSampling);
  add_number(app, "--min-p", min_p, Range<float>{0, 1, "a number from 0 to 1"},
             "Keep tokens at least N times as likely as the likeliest")
      ->group(kSampling);
  add_number(app, "--repetition-penalty", repetition_penalty,
             Range<float>{1e-6f, 100, "a number from 1e-06 to 100"},
             "Divide the logits above 0 of tokens of the prompt and the output by N, and multiply "
             "those below; 1 is none")
      ->group(kSampling);
  const Range<float> added{-2, 2, "a number from -2 to 2"};
  add_number(app, "--presence-penalty", presence_penalty, added,
             "Take N from the logits of tokens of the output; 0 is none")
      ->group(kSampling);
  add_number(app, "--frequency-penalty", frequency_penalty, added,
             "Take N from them for each time that they occur there; 0 is none")
      ->group(kSampling);
  seed.add_to(app, kSampling);
}

// The engine counts in normal numbers: what is smaller is 0 there, and a top-p must not be.
SamplingParams SamplingOptions::resolve(const SamplingParams& defaults) const {
  constexpr float kLeast = std::numeric_limits<float>::min();
  const auto normal = [](float value) { return value < kLeast ? 0 : value; };
  return {.temperature = normal(temperature.value_or(defaults.temperature)),
          .top_k = top_k.value_or(defaults.top_k),
          .top_p = std::max(top_p.value_or(defaults.top_p), kLeast),
          .min_p = min_p.value_or(defaults.min_p),
          .seed = seed.value,
          .repetition_penalty = repetition_penalty.value_or(defaults.repetition_penalty),
          .presence_penalty = presence_penalty.value_or(defaults.presence_penalty),
          .frequency_penalty = frequency_penalty.value_or(defaults.frequency_penalty),
          .logit_bias = defaults.logit_bias};
}

void DecodingOptions::add_to(CLI::App& app) {
  sampling.add_to(app);
  add_choice<Mode>(app, "--mode", mode, mode_choices(),
                   "ar (plain), dual (always draft whole blocks) or auto (draft where it pays, "
                   "without a diffusion view by lookup alone)")
      ->default_str("auto")
      ->group(kDecoding);
  add_block_size(app, block_size);
  add_tree_nodes(app, tree_nodes);
  add_lookup(app, lookup);
  add_choice<AcceptRule>(
      app, "--accept", accept, accept_choices(),
      "How drafts are accepted: match (the tokens of plain AR decoding with this "
      "seed) or rejection (the same distribution only)")
      ->default_str("match")
      ->group(kDecoding);
  add_count(app, "--prefill-chunk", prefill_chunk,
            "Most prompt tokens of one forward pass; by default what suits the device")
      ->default_str("")
      ->group(kDecoding);
}

GenerateOptions DecodingOptions::resolve(const ModelConfig& config) const {
  GenerateOptions options;
  options.sampling = sampling.resolve(config.generation);
  options.stop = config.stop_strings;
  options.mode = mode;
  options.block_size = block_size;
  options.tree_nodes = tree_nodes;
  options.lookup = lookup;
  options.accept = accept;
  options.prefill_chunk = prefill_chunk;
  return options;
}

}  // namespace orthrus::cli
