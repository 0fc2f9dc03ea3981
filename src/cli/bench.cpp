// orthrus bench: plain AR decoding against decoding with drafts, on the same prompts.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/bench_prompts.h"
#include "cli/choices.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt_source.h"
#include "cli/report.h"
#include "cli/roofline.h"
#include "cli/running.h"
#include "cli/text.h"
#include "orthrus/error.h"
#include "orthrus/published_shapes.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus bench -m models/tiny-code
  orthrus bench -m models/tiny-code -n 256 --repeat 5 --block-size 8
  orthrus bench -m models/tiny-code --prompts prompts.jsonl --temperature 0.7 --json
  orthrus bench -m models/tiny-code --roofline
  orthrus bench --synthetic qwen3-0.6b --weights q8_0 --roofline --rows 1,8 --context 512,2000
  orthrus bench --synthetic qwen3-8b --device cuda --roofline --assume-acceptance 11.7

Each prompt is continued in AR mode and in another (--mode) by turns, after a warm-up. Speeds are medians
of decoding alone, the prefill not counted; a ratio is the median of the ratios of neighbouring
runs. Of all prompts: the medians of speeds, the geometric mean of ratios, the means of the rest. Ids that differ are a failure. Without --prompts or
--prompt-ids the prompts are 24 beginnings of Python files.)";

struct Options {
  ModelOptions model;
  std::optional<std::string> synthetic;
  RooflineOptions roofline;
  std::optional<std::string> prompts_file;
  std::optional<std::string> prompt_ids;
  SamplingOptions sampling;
  Mode mode = Mode::kAuto;
  int block_size = 0;
  int max_tokens = 128;
  int repeat = 3;
  bool ignore_eos = false;
  bool json = false;
};

struct BenchPrompt {
  std::string label;
  TokenIds ids;
};

struct Row {
  std::string label;
  int tokens = 0;
  double ar_speed = 0;  // tokens a second, as all speeds
  // Of the mode that drafts.
  std::optional<double> speed, ratio, tokens_per_forward, acceptance_length;
  std::optional<std::string> difference;  // the first that was seen
};

// What the mode that drafts decided, in all repetitions of all prompts.
struct Decisions {
  std::vector<int> drafted;   // [d]: cycles of d drafts; [0]: plain steps
  std::vector<int> verified;  // [n]: of the cycles with drafts, those that verified n
  std::vector<int> leftover;  // [n]: cycles that verified n drafts of an earlier block
  double expected_accepted = 0;
  int accepted = 0;

  int cycles() const {
    return std::accumulate(leftover.begin(), leftover.end(),
                           std::accumulate(drafted.begin(), drafted.end(), 0));
  }
  // The gain over plain decoding, had drafts been accepted as often as was expected: each cycle
  // gives a token more than it accepts.
  double expected_gain(double gain) const {
    return gain * (cycles() + expected_accepted) / (cycles() + accepted);
  }

  void add(const GenerationStats& stats) {
    add(drafted, stats.drafted);
    add(verified, stats.verified);
    add(leftover, stats.leftover);
    expected_accepted += stats.expected_accepted;
    accepted += stats.accepted;
  }

 private:
  static void add(std::vector<int>& to, const std::vector<int>& counts) {
    to.resize(std::max(to.size(), counts.size()));
    for (size_t i = 0; i < counts.size(); ++i) to[i] += counts[i];
  }
};

// "0: 12, 3: 40", what did not occur left out.
std::string histogram(const std::vector<int>& counts, size_t first) {
  std::string text;
  for (size_t i = first; i < counts.size(); ++i) {
    if (counts[i] > 0) text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", i, counts[i]);
  }
  return text.empty() ? "none" : text;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Over all prompts: medians of speeds, the geometric mean of ratios, means of the rest.
struct Totals {
  double ar_speed = 0;
  std::optional<double> speed, ratio, tokens_per_forward, acceptance_length;
};

Totals totals(const std::vector<Row>& rows) {
  std::vector<double> ar_speeds, speeds, logs, forwards, lengths;
  for (const Row& row : rows) {
    ar_speeds.push_back(row.ar_speed);
    if (row.speed) speeds.push_back(*row.speed);
    if (row.ratio) logs.push_back(std::log(*row.ratio));
    if (row.tokens_per_forward) forwards.push_back(*row.tokens_per_forward);
    if (row.acceptance_length) lengths.push_back(*row.acceptance_length);
  }
  const auto mean = [](const std::vector<double>& values) -> std::optional<double> {
    if (values.empty()) return std::nullopt;
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  Totals all;
  if (!ar_speeds.empty()) all.ar_speed = median(ar_speeds);
  if (!speeds.empty()) all.speed = median(speeds);
  if (const auto log = mean(logs)) all.ratio = std::exp(*log);
  all.tokens_per_forward = mean(forwards);
  all.acceptance_length = mean(lengths);
  return all;
}

std::vector<BenchPrompt> bench_prompts(const Options& options, const Engine& engine) {
  if (options.prompt_ids) {
    return {{"--prompt-ids", parse_ids("--prompt-ids", *options.prompt_ids)}};
  }
  if (options.synthetic && !options.prompts_file) {
    // Without a tokenizer, and any tokens are as good as others.
    TokenIds ids(64);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(1000 + 37 * i);
    return {{"64 tokens", ids}};
  }
  std::vector<BenchPrompt> prompts;
  for (const std::string& text :
       options.prompts_file ? read_prompts(*options.prompts_file) : built_in_prompts()) {
    prompts.push_back({escaped(text), engine.encode(text)});
  }
  return prompts;
}

Engine engine_of(const Options& options) {
  if (options.synthetic.has_value() == !options.model.directory.empty()) {
    throw Error(ErrorKind::kUsage, "bench takes one of -m/--model and --synthetic.");
  }
  if (!options.synthetic) return load_engine(options.model);
  if (const auto config = published_shape(*options.synthetic)) {
    return Engine::synthetic(*config, options.model.engine_options());
  }
  std::string names;
  for (const std::string_view name : published_shapes()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
  }
  throw Error(ErrorKind::kUsage, fmt::format("--synthetic is {}; valid is one of {}.",
                                             in_quotes(*options.synthetic), names));
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), engine_(engine_of(options)) {
    for (const bool drafting : {false, true}) {
      if (drafting && !has_drafts()) break;
      GenerateOptions& o = drafting ? drafting_ : ar_;
      o.mode = drafting ? options.mode : Mode::kAr;
      o.max_tokens = options.max_tokens;
      o.ignore_eos = options.ignore_eos;
      o.sampling = options.sampling.resolve(engine_.config().generation);
    }
    // Without a diffusion view the engine is to say what is wrong with a block size.
    (has_drafts() ? drafting_ : ar_).block_size = options.block_size;
  }

  int run() {
    if (options_.roofline.wanted) {
      return run_roofline(engine_, model_name(), options_.roofline, options_.repeat, options_.json);
    }
    const std::vector<BenchPrompt> prompts = bench_prompts(options_, engine_);
    warm_up(prompts.front());
    if (!options_.json) output_.write(header());
    for (const BenchPrompt& prompt : prompts) {
      std::optional<Row> row = measure(prompt);
      if (!row) break;
      if (!options_.json) output_.write(in_words(*row));
      rows_.push_back(*std::move(row));
      if (output_.failed()) break;
    }
    output_.write(options_.json ? json_line(in_json()) : total());
    return output_.finish(exit_code());
  }

 private:
  std::string model_name() const { return options_.synthetic.value_or(options_.model.directory); }
  bool has_drafts() const { return engine_.config().has_diffusion_view(); }

  Generation generate(const BenchPrompt& prompt, const GenerateOptions& options) {
    Request request;
    request.prompt = prompt.ids;
    request.options = options;
    watch(request, interrupt_);
    Generation generation = engine_.generate(request);
    check_not_failed(generation);
    return generation;
  }

  void warm_up(const BenchPrompt& prompt) {
    generate(prompt, ar_);
    if (has_drafts() && !interrupt_.requested()) generate(prompt, drafting_);
  }

  // Nothing when interrupted.
  std::optional<Row> measure(const BenchPrompt& prompt) {
    Row row;
    row.label = prompt.label;
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
    for (int repeat = 0; repeat < options_.repeat; ++repeat) {
      const Generation ar = generate(prompt, ar_);
      if (interrupt_.requested()) return std::nullopt;
      check(ar, "ar", repeat);
      row.tokens = ar.stats.generated;
      ar_speeds.push_back(ar.stats.tokens_per_second());
      if (!has_drafts()) continue;
      const Generation drafted = generate(prompt, drafting_);
      if (interrupt_.requested()) return std::nullopt;
      check(drafted, name_of(options_.mode), repeat);
      decisions_.add(drafted.stats);
      speeds.push_back(drafted.stats.tokens_per_second());
      row.tokens_per_forward = drafted.stats.tokens_per_forward();
      row.acceptance_length = drafted.stats.acceptance_length();
      if (ar_speeds.back() > 0) ratios.push_back(speeds.back() / ar_speeds.back());
    }
    row.ar_speed = median(ar_speeds);
    if (!speeds.empty()) row.speed = median(speeds);
    if (!ratios.empty()) row.ratio = median(ratios);
    return row;
  }

  std::string header() const {
    std::string text = fmt::format(
        "{} tokens a prompt at most, {}, {} repetitions, {} weights, {}\n", options_.max_tokens,
        options_.ignore_eos ? "end-of-sequence tokens ignored"
                            : "fewer where the model ends the text",
        options_.repeat, names_of(engine_.weight_types()),
        engine_.device() == Device{} ? fmt::format("{} threads", engine_.threads())
                                     : name_of(engine_.device()));
    text += fmt::format("{:<32}{:>7}{:>11}", "prompt", "tokens", "AR tok/s");
    if (has_drafts()) {
      text += fmt::format("{:>12}{:>8}{:>7}{:>10}{:>7}",
                          fmt::format("{} tok/s", name_of(options_.mode)), "ratio", "TPF",
                          "accepted", "equal");
    }
    return text + "\n";
  }

  std::string in_words(const Row& row) const {
    constexpr size_t kWidth = 30;
    const std::string label =
        row.label.size() > kWidth ? row.label.substr(0, kWidth - 3) + "..." : row.label;
    std::string text = fmt::format("{:<32}{:>7}{:>11.1f}", label, row.tokens, row.ar_speed);
    if (has_drafts()) {
      text +=
          fmt::format("{:>12.1f}{:>8}{:>7.2f}{:>10.2f}{:>7}", *row.speed,
                      row.ratio ? fmt::format("{:.2f}", *row.ratio) : "-", *row.tokens_per_forward,
                      *row.acceptance_length, row.difference ? "no" : "yes");
    }
    text += "\n";
    if (row.difference) text += fmt::format("  {}\n", *row.difference);
    return text;
  }

  std::string total() const {
    const Totals all = totals(rows_);
    if (!all.ratio) return {};
    return fmt::format("{:<39}{:>11.1f}{:>12.1f}{:>8.2f}{:>7.2f}{:>10.2f}{:>7}\n", "all",
                       all.ar_speed, *all.speed, *all.ratio, *all.tokens_per_forward,
                       *all.acceptance_length, all_equal() ? "yes" : "no") +
           in_words(decisions_, *all.ratio);
  }

  static std::string in_words(const Decisions& d, double gain) {
    const int cycles = d.cycles();
    if (cycles == 0) return {};
    std::string text = fmt::format("plain steps              {:.0f} % of {} cycles\n",
                                   100.0 * d.drafted[0] / cycles, cycles);
    text += fmt::format("drafts made: cycles      {}\n", histogram(d.drafted, 1));
    text += fmt::format("drafts verified: cycles  {}\n", histogram(d.verified, 0));
    text += fmt::format("leftover verified        {}\n", histogram(d.leftover, 1));
    if (d.expected_accepted > 0) {
      text += fmt::format("drafts accepted          {}, {:.0f} expected\n", d.accepted,
                          d.expected_accepted);
      text += fmt::format("gain over plain decoding {:.3f}, {:.3f} expected\n", gain,
                          d.expected_gain(gain));
    }
    return text;
  }

  bool all_equal() const {
    return std::none_of(rows_.begin(), rows_.end(),
                        [](const Row& row) { return row.difference.has_value(); });
  }

  int exit_code() const {
    if (!all_equal()) return kFailure;
    return interrupt_.requested() ? kInterrupted : kSuccess;
  }

  nlohmann::ordered_json in_json() const {
    const auto or_null = [](const auto& value) {
      return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
    };
    nlohmann::ordered_json json = {{"model", model_name()},
                                   {"mode", name_of(options_.mode)},
                                   {"weights", names_of(engine_.weight_types())},
                                   {"device", name_of(engine_.device())},
                                   {"threads", engine_.threads()},
                                   {"max_tokens", options_.max_tokens},
                                   {"repeat", options_.repeat},
                                   {"prompts", nlohmann::ordered_json::array()}};
    for (const Row& row : rows_) {
      json["prompts"].push_back({{"prompt", row.label},
                                 {"tokens", row.tokens},
                                 {"ar_tokens_per_second", row.ar_speed},
                                 {"tokens_per_second", or_null(row.speed)},
                                 {"ratio", or_null(row.ratio)},
                                 {"tokens_per_forward", or_null(row.tokens_per_forward)},
                                 {"acceptance_length", or_null(row.acceptance_length)},
                                 {"equal", !row.difference},
                                 {"difference", or_null(row.difference)}});
    }
    const Totals all = totals(rows_);
    json["ar_tokens_per_second"] = all.ar_speed;
    json["tokens_per_second"] = or_null(all.speed);
    json["geometric_mean_of_ratios"] = or_null(all.ratio);
    json["tokens_per_forward"] = or_null(all.tokens_per_forward);
    json["acceptance_length"] = or_null(all.acceptance_length);
    json["equal"] = all_equal();
    json["decisions"] = {{"drafted", decisions_.drafted},
                         {"verified", decisions_.verified},
                         {"leftover", decisions_.leftover},
                         {"expected_accepted", decisions_.expected_accepted},
                         {"accepted", decisions_.accepted}};
    json["decisions"]["expected_gain"] =
        all.ratio && decisions_.cycles() > 0 && decisions_.expected_accepted > 0
            ? nlohmann::ordered_json(decisions_.expected_gain(*all.ratio))
            : nlohmann::ordered_json();
    return json;
  }

  const Options& options_;
  Engine engine_;
  Interrupt interrupt_;  // after loading, which cannot be ended in order
  Output output_;
  GenerateOptions ar_, drafting_;
  std::vector<Row> rows_;
  Decisions decisions_;
};

}  // namespace

Command add_bench(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app = *root.add_subcommand(
      "bench", "Compare the speeds of plain AR decoding and of decoding with drafts");
  options->model.add_to(app, false);
  app.add_option("--synthetic", options->synthetic,
                 "In place of a checkpoint, random weights of a published shape: qwen3-0.6b, "
                 "qwen3-1.7b, qwen3-4b or qwen3-8b")
      ->type_name("SHAPE");
  CLI::Option* const roofline = options->roofline.add_to(app);
  CLI::Option* const prompts =
      app.add_option("--prompts", options->prompts_file, "A file with a JSON string a line")
          ->type_name("FILE")
          ->excludes(roofline);
  app.add_option("--prompt-ids", options->prompt_ids, "One prompt as token ids: 1,2,3")
      ->type_name("IDS")
      ->excludes(prompts)
      ->excludes(roofline);
  add_count(app, "-n,--max-tokens", options->max_tokens, "Most tokens to generate for a prompt");
  add_count(app, "--repeat", options->repeat, "Measurements of each prompt", 1000);
  app.add_flag("--ignore-eos", options->ignore_eos, "Go on after end-of-sequence tokens");
  app.add_flag("--json", options->json, "Print one JSON object, at the end, in place of the table");
  options->sampling.add_to(app);
  add_choice<Mode>(app, "--mode", options->mode, {{"auto", Mode::kAuto}, {"dual", Mode::kDual}},
                   "What AR is compared with: auto (drafts where it pays) or dual (always)")
      ->default_str("auto");
  add_block_size(app, options->block_size);
  app.footer(kExamples);
  return {&app, [options] { return Bench(*options).run(); }};
}

}  // namespace orthrus::cli
