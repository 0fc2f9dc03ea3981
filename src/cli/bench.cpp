// orthrus bench: plain AR decoding against decoding with drafts, on the same prompts.
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/median.h"
#include "cli/bench_prompts.h"
#include "cli/bench_report.h"
#include "cli/bench_results.h"
#include "cli/bench_settings.h"
#include "cli/chat_format.h"
#include "cli/choices.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt_source.h"
#include "cli/report.h"
#include "cli/roofline.h"
#include "cli/running.h"
#include "cli/text.h"
#include "cli/version.h"
#include "orthrus/error.h"
#include "orthrus/published_shapes.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus bench -m models/tiny-code
  orthrus bench -m models/tiny-code -n 256 --repeat 5 --block-size 8
  orthrus bench -m models/tiny-code --prompts prompts.jsonl --temperature 0.7 --json
  orthrus bench -m models/tiny-code --report report.html
  orthrus bench -m models/tiny-code --roofline
  orthrus bench --synthetic qwen3-0.6b --weights q8_0 --roofline --rows 1,8
  orthrus bench --synthetic qwen3-8b --device cuda --roofline --assume-acceptance 11.7

Each prompt is continued in AR mode and in another (--mode) by turns, after a warm-up. Speeds are
medians of decoding alone, the prefill not counted; a ratio is the median of the ratios of
neighbouring runs. Of all prompts, and of those of a kind: the medians of speeds, the geometric mean
of ratios, the means of the rest. Ids that differ are a failure.

Without --prompts or --prompt-ids a chat model is asked 24 questions, of three kinds: code, prose,
and edits of code that they bring; a model without a chat template continues 24 beginnings of
Python files. A line of --prompts is a JSON string, a text to continue, or an object with messages
for a chat model: {"messages": [{"role": "user", "content": "..."}], "kind": "code"}.

The page of --report shows each text with the tokens that each pass gave, what was drafted and
accepted, speeds, and passes against what the machine gives. It is one file that loads nothing.)";

struct Options {
  ModelOptions model;
  std::optional<std::string> synthetic;
  RooflineOptions roofline;
  std::optional<std::string> prompts_file;
  std::optional<std::string> prompt_ids;
  ChatFormatOption format;
  SamplingOptions sampling;
  Mode mode = Mode::kAuto;
  int block_size = 0;
  std::optional<int> tree_nodes;
  bool lookup = true;
  int max_tokens = 128;
  int repeat = 3;
  bool ignore_eos = false;
  bool json = false;
  std::optional<std::string> report;
};

// A prompt as the engine takes it.
struct EncodedPrompt {
  std::string text, label, kind;
  TokenIds ids;
  std::string place = {};  // in a file, if it is of one
};

// kUnknown where the model's template is.
ChatFormat chat_format(const Options& options) {
  if (options.format.forced) return *options.format.forced;
  return options.synthetic ? ChatFormat::kNone : detect_chat_format(options.model.directory);
}

std::vector<BenchPrompt> chosen_prompts(const Options& options) {
  if (options.prompts_file) return read_prompts(*options.prompts_file);
  return chat_format(options) != ChatFormat::kNone ? built_in_questions() : built_in_texts();
}

using Encode = std::function<TokenIds(std::string_view)>;

std::vector<EncodedPrompt> encoded_prompts(const Options& options, const Encode& encode) {
  if (options.roofline.wanted) return {};
  if (options.prompt_ids) {
    return {{"--prompt-ids", "--prompt-ids", "", read_ids("--prompt-ids", *options.prompt_ids)}};
  }
  if (options.synthetic && !options.prompts_file) {
    // Without a tokenizer, and any tokens are as good as others.
    TokenIds ids(64);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(1000 + 37 * i);
    return {{"64 tokens", "64 tokens", "", ids}};
  }
  std::vector<EncodedPrompt> prompts;
  for (const BenchPrompt& prompt : chosen_prompts(options)) {
    const auto* messages = std::get_if<std::vector<ChatMessage>>(&prompt.content);
    const std::string text =
        messages ? render_chat(options.format.resolve(options.model.directory), *messages)
                 : std::get<std::string>(prompt.content);
    prompts.push_back({prompt.text(), prompt.label(), prompt.kind, encode(text), prompt.place});
  }
  return prompts;
}

ModelConfig synthetic_shape(const Options& options) {
  if (const auto config = published_shape(*options.synthetic)) return *config;
  std::string names;
  for (const std::string_view name : published_shapes()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  throw Error(ErrorKind::kUsage, fmt::format("--synthetic is {}; valid is one of {}.",
                                             in_quotes(*options.synthetic), names));
}

class Bench {
 public:
  // `command` has the options as they were given.
  Bench(const Options& options, const CLI::App& command)
      : options_(options), command_(command), engine_(checked_engine(options)) {}

  int run() {
    if (options_.roofline.wanted) {
      return run_roofline(engine_, model_settings(), options_.roofline, options_.repeat,
                          options_.json, interrupt_);
    }
    warm_up(prompts_.front());
    const bool kinds = std::any_of(prompts_.begin(), prompts_.end(),
                                   [](const EncodedPrompt& p) { return !p.kind.empty(); });
    BenchResults results(drafts_ ? std::optional(options_.mode) : std::nullopt, kinds,
                         terminal_columns());
    settings_ = model_settings();
    settings_.update(decoding_settings(engine_.config(), drafts_ ? drafting_ : ar_));
    settings_["chat_format"] = name_of(chat_format(options_));
    settings_["repeat"] = options_.repeat;
    if (!options_.json) output_.write(conditions() + results.header());
    for (const EncodedPrompt& prompt : prompts_) {
      std::optional<BenchRow> row = measure(prompt, results.decisions());
      if (!row) break;
      if (!options_.json) output_.write(results.in_words(*row));
      results.add(*std::move(row));
      if (output_.failed()) break;
    }
    output_.write(options_.json ? json_line(in_json(results)) : results.totals_in_words());
    if (report_) write_report(results);
    const int code = interrupt_.requested() ? interrupt_.exit_code() : kSuccess;
    return output_.finish(results.all_equal() ? code : kFailure);
  }

 private:
  // Makes the requests, too: what is wrong with them is told before there are weights.
  Engine checked_engine(const Options& options) {
    if (options.synthetic.has_value() == !options.model.directory.empty()) {
      throw Error(ErrorKind::kUsage, "bench takes one of -m/--model and --synthetic.");
    }
    if (options.report == "-") {
      throw Error(ErrorKind::kUsage,
                  "--report is \"-\"; valid is a file's name: standard output has the table.");
    }
    if (options.report) report_.emplace(*options.report);
    if (!options.synthetic) {
      ModelFiles files = open_model(options.model);
      heads_ = heads_in_use(options.model);
      make_requests(files.config(), files.tokenizer(),
                    [&](std::string_view text) { return files.encode(text); });
      return load_engine(std::move(files));
    }
    const ModelConfig config = synthetic_shape(options);
    heads_ = own_heads(config);
    make_requests(config, nullptr, [](std::string_view) -> TokenIds {
      throw Error(ErrorKind::kUsage, "A synthetic model has no tokenizer; give --prompt-ids.");
    });
    EngineOptions engine_options = options.model.engine_options();
    engine_options.on_load = loading_progress();
    return Engine::synthetic(config, engine_options);
  }

  void check(Request& request, const ModelConfig& config, const Tokenizer* tokenizer) const {
    for (const GenerateOptions& o : {ar_, drafts_ ? drafting_ : ar_}) {
      request.options = o;
      validate(request, config, tokenizer);
    }
  }

  void make_requests(const ModelConfig& config, const Tokenizer* tokenizer, const Encode& encode) {
    // Without a diffusion view there is what the text itself gives, or nothing.
    drafts_ = config.has_diffusion_view() || (options_.mode == Mode::kAuto && options_.lookup);
    for (const bool drafting : {false, true}) {
      if (drafting && !drafts_) break;
      GenerateOptions& o = drafting ? drafting_ : ar_;
      o.mode = drafting ? options_.mode : Mode::kAr;
      o.max_tokens = options_.max_tokens;
      o.ignore_eos = options_.ignore_eos;
      o.lookup = options_.lookup;
      o.sampling = options_.sampling.resolve(config.generation);
    }
    // Without a diffusion view the engine is to say what is wrong with blocks and trees.
    (drafts_ ? drafting_ : ar_).block_size = options_.block_size;
    (drafts_ ? drafting_ : ar_).tree_nodes = options_.tree_nodes;
    prompts_ = encoded_prompts(options_, encode);
    Request request;
    request.prompt = {0};  // what is wrong then is wrong with the options
    check(request, config, tokenizer);
    for (const EncodedPrompt& prompt : prompts_) {
      request.prompt = prompt.ids;
      try {
        check(request, config, tokenizer);
      } catch (const Error& error) {
        if (prompt.place.empty()) throw;
        throw Error(error.kind(), fmt::format("{}: {}", prompt.place, error.what()));
      }
    }
  }

  nlohmann::ordered_json model_settings() const {
    return engine_settings(engine_, options_.synthetic.value_or(options_.model.directory), heads_);
  }

  // With a `run` to record, what it did.
  Generation generate(const EncodedPrompt& prompt, const GenerateOptions& options,
                      BenchRun* run = nullptr) {
    Request request;
    request.prompt = prompt.ids;
    request.options = options;
    watch(request, interrupt_, [run](const Step& step) {
      if (run != nullptr) run->add(step);
      return true;
    });
    Generation generation = engine_.generate(request);
    check_not_failed(generation);
    return generation;
  }

  void warm_up(const EncodedPrompt& prompt) {
    generate(prompt, ar_);
    if (drafts_ && !interrupt_.requested()) generate(prompt, drafting_);
  }

  // Nothing when interrupted.
  std::optional<BenchRow> measure(const EncodedPrompt& prompt, Decisions& decisions) {
    BenchRow row;
    row.label = prompt.label;
    row.kind = prompt.kind;
    std::vector<double> ar_speeds, speeds, ratios;
    std::optional<TokenIds> expected;
    const auto check = [&](const Generation& generation, std::string_view mode, int repeat) {
      if (!expected) expected = generation.output_ids;
      const auto difference = first_difference(generation.output_ids, *expected);
      if (!difference || row.difference) return;
      row.difference = fmt::format(
          "{}, in repetition {}",
          difference->in_words(fmt::format("in {} mode", mode), "in the first AR run"), repeat + 1);
    };
    bench_page::Prompt shown{prompt.text, {}, {}};
    for (int repeat = 0; repeat < options_.repeat; ++repeat) {
      shown.plain = shown.drafted = {};
      const Generation ar = generate(prompt, ar_, report_ ? &shown.plain : nullptr);
      if (interrupt_.requested()) return std::nullopt;
      check(ar, "ar", repeat);
      row.tokens = ar.stats.generated;
      ar_speeds.push_back(ar.stats.tokens_per_second());
      if (!drafts_) continue;
      const Generation drafted = generate(prompt, drafting_, report_ ? &shown.drafted : nullptr);
      if (interrupt_.requested()) return std::nullopt;
      check(drafted, name_of(options_.mode), repeat);
      decisions.add(drafted.stats);
      if (report_) report_->count(shown.drafted);
      speeds.push_back(drafted.stats.tokens_per_second());
      row.tokens_per_forward = drafted.stats.tokens_per_forward();
      row.acceptance_length = drafted.stats.acceptance_length();
      if (ar_speeds.back() > 0) ratios.push_back(speeds.back() / ar_speeds.back());
    }
    row.ar_speed = median(ar_speeds);
    if (!speeds.empty()) row.speed = median(speeds);
    if (!ratios.empty()) row.ratio = median(ratios);
    if (report_) report_->add(std::move(shown));
    return row;
  }

  void write_report(const BenchResults& results) {
    if (results.rows().empty()) return;
    std::vector<double> lengths;
    for (const EncodedPrompt& prompt : prompts_) {
      lengths.push_back(static_cast<double>(prompt.ids.size()));
    }
    const std::filesystem::path model = settings_["model"].get<std::string>();
    report_->write(engine_, results, model.has_filename() ? model.filename() : model, facts(),
                   prompts_.size(), std::move(lengths), interrupt_);
  }

  // Of the page.
  std::vector<std::pair<std::string, std::string>> facts() const {
    const std::time_t now = std::time(nullptr);
    char date[64];
    std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
    std::vector<std::pair<std::string, std::string>> facts = settings_in_words(settings_);
    facts.insert(facts.begin(), {"command", as_given(command_)});
    facts.emplace_back("date", date);
    return facts;
  }

  std::string conditions() const {
    const std::optional<uint64_t> seed = options_.sampling.seed.if_drawn();
    return fmt::format("{} a prompt at most, {}, {}, {}, {}{}\n",
                       counted(options_.max_tokens, "token"),
                       options_.ignore_eos ? "end-of-sequence tokens ignored"
                                           : "fewer where the model ends the text",
                       counted(options_.repeat, "repetition"), weights_in_words(engine_),
                       engine_.device().is_cpu() ? counted(engine_.threads(), "thread")
                                                 : name_of(engine_.device()),
                       seed ? fmt::format(", seed {}", *seed) : "");
  }

  nlohmann::ordered_json in_json(const BenchResults& results) const {
    nlohmann::ordered_json json = settings_;
    results.add_to(json);
    return json;
  }

  const Options& options_;
  const CLI::App& command_;
  std::optional<BenchReport> report_;
  GenerateOptions ar_, drafting_;
  bool drafts_ = false;  // there is a mode to compare AR with
  std::vector<EncodedPrompt> prompts_;
  std::string heads_;
  Engine engine_;
  nlohmann::ordered_json settings_;
  Interrupt interrupt_;  // after loading, which cannot be ended in order
  Output output_;
};

}  // namespace

Command add_bench(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app = *root.add_subcommand(
      "bench", "Compare the speeds of plain AR decoding and of decoding with drafts");
  options->model.add_to(app, false);
  app.add_option("--synthetic", options->synthetic,
                 "In place of a checkpoint, random weights of a published shape: qwen3-0.6b, "
                 "qwen3-1.7b, qwen3-4b, qwen3-8b, qwen2.5-coder-0.5b or qwen2.5-coder-1.5b")
      ->type_name("SHAPE");
  CLI::Option* const roofline = options->roofline.add_to(app);
  CLI::Option* const prompts =
      app.add_option("--prompts", options->prompts_file,
                     "A file with a prompt a line, as JSON: a text, or messages")
          ->type_name("FILE")
          ->excludes(roofline);
  app.add_option("--prompt-ids", options->prompt_ids,
                 "One prompt as token ids: 1,2,3, or @FILE, or - for standard input")
      ->type_name("IDS")
      ->excludes(prompts)
      ->excludes(roofline);
  options->format.add_to(app);
  add_count(app, "-n,--max-tokens", options->max_tokens, "Most tokens to generate for a prompt");
  add_count(app, "--repeat", options->repeat, "Measurements of each prompt", 1000);
  app.add_flag("--ignore-eos", options->ignore_eos, "Go on after end-of-sequence tokens");
  app.add_flag("--json", options->json, "Print one JSON object, at the end, in place of the table");
  refuse_empty(app.add_option("--report", options->report,
                              "Also write a page of HTML that shows what each pass gave, what was "
                              "accepted, and speeds")
                   ->type_name("FILE")
                   ->excludes(roofline));
  options->sampling.add_to(app);
  add_choice<Mode>(app, "--mode", options->mode, {{"auto", Mode::kAuto}, {"dual", Mode::kDual}},
                   "What AR is compared with: auto (drafts where it pays) or dual (always)")
      ->default_str("auto");
  add_block_size(app, options->block_size);
  add_tree_nodes(app, options->tree_nodes);
  add_lookup(app, options->lookup);
  app.footer(kExamples);
  return {&app, [options, &app] { return Bench(*options, app).run(); }};
}

}  // namespace orthrus::cli
