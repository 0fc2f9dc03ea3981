// orthrus perplexity: how well a model predicts a text.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt_source.h"
#include "cli/report.h"
#include "cli/running.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus perplexity -m models/tiny-code -f text.py
  orthrus perplexity -m models/tiny-code -f text.py --weights q8_0 --json

The text is cut into chunks of --context tokens, each read on its own, and what is left over is not
used. Of each chunk the tokens of the second half are scored, so that each has at least half a
chunk before it: as llama.cpp's perplexity does, so that numbers compare.)";

constexpr int kLeastContext = 3;  // so that of each chunk a token is scored

struct Options {
  ModelOptions model;
  std::string file;
  int context = 512;
  int chunks = std::numeric_limits<int>::max();
  bool json = false;
};

// Of the tokens scored so far.
class Perplexity {
 public:
  void add(double log_probability) {
    sum_ -= log_probability;
    squares_ += log_probability * log_probability;
    ++scored_;
  }
  int scored() const { return scored_; }
  double value() const { return std::exp(sum_ / scored_); }
  // The standard error, as if tokens were independent.
  double error() const {
    const double mean = sum_ / scored_;
    const double variance = std::max(0.0, squares_ / scored_ - mean * mean);
    return value() * std::sqrt(variance / std::max(1, scored_ - 1));
  }

 private:
  double sum_ = 0, squares_ = 0;
  int scored_ = 0;
};

class PerplexityCommand {
 public:
  explicit PerplexityCommand(const Options& options)
      : options_(options), engine_(checked_engine()) {}

  int run() {
    using Clock = std::chrono::steady_clock;
    Interrupt interrupt;
    const Clock::time_point begin = Clock::now();
    for (done_ = 0; done_ < chunks_ && !interrupt.requested(); ++done_) {
      progress_.update(done_, chunks_);
      score_chunk();
    }
    progress_.erase();
    seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
    Output output;
    if (done_ > 0) output.write(options_.json ? json_line(in_json()) : in_words());
    return output.finish(interrupt.requested() ? interrupt.exit_code() : kSuccess);
  }

 private:
  // Reads the text, too: what is wrong with it is told before the weights are read.
  Engine checked_engine() {
    const std::string text = read_text(options_.file);
    ModelFiles files = open_model(options_.model);
    const int most = files.config().max_position_embeddings;
    if (options_.context > most) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--context is {}; valid is {} to {} for this model.",
                              options_.context, kLeastContext, most));
    }
    start_ = files.encode("");
    tokens_ = files.encode(text);
    chunks_ = std::min(static_cast<int>(tokens_.size()) / options_.context, options_.chunks);
    if (chunks_ == 0) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{} has {}; a chunk needs {}. A smaller --context, or a longer "
                              "text, would do.",
                              name_of_text(options_.file), counted(tokens_.size(), "token"),
                              options_.context));
    }
    return load_engine(std::move(files));
  }

  void score_chunk() {
    const auto size = static_cast<size_t>(options_.context);
    const auto begin = tokens_.begin() + static_cast<std::ptrdiff_t>(size) * done_;
    TokenIds chunk(begin, begin + options_.context);
    // A model that begins its texts with a token of its own begins each chunk with it.
    if (!start_.empty()) chunk[0] = start_[0];
    for (const double score : engine_.score(chunk, options_.context / 2 + 1))
      perplexity_.add(score);
  }

  double tokens_per_second() const { return options_.context * done_ / seconds_; }

  std::string in_words() const {
    return fmt::format(
        "perplexity  {:.4f} +/- {:.4f}\n"
        "text        {} of {}, {} of {}, {} scored\n"
        "weights     {}, {} KV cache\n"
        "time        {:.1f} s, {:.1f} tokens/s\n",
        perplexity_.value(), perplexity_.error(), options_.context * done_,
        counted(tokens_.size(), "token"), counted(done_, "chunk"), options_.context,
        counted(perplexity_.scored(), "token"), names_of(engine_.weight_types()),
        name_of(engine_.kv_cache()), seconds_, tokens_per_second());
  }

  nlohmann::ordered_json in_json() const {
    return {{"model", options_.model.directory},
            {"file", options_.file},
            {"weights", names_of(engine_.weight_types())},
            {"kv_cache", name_of(engine_.kv_cache())},
            {"device", name_of(engine_.device())},
            {"threads", engine_.threads()},
            {"context", options_.context},
            {"chunks", done_},
            {"tokens", tokens_.size()},
            {"scored", perplexity_.scored()},
            {"perplexity", perplexity_.value()},
            {"error", perplexity_.error()},
            {"seconds", seconds_},
            {"tokens_per_second", tokens_per_second()}};
  }

  const Options& options_;
  TokenIds start_;  // what the tokenizer puts before every text
  TokenIds tokens_;
  int chunks_ = 0, done_ = 0;
  Engine engine_;
  Perplexity perplexity_;
  double seconds_ = 0;
  Progress progress_{"Scoring the text"};
};

}  // namespace

Command add_perplexity(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app = *root.add_subcommand("perplexity", "Measure how well a model predicts a text");
  options->model.add_to(app);
  refuse_empty(app.add_option("-f,--file", options->file,
                              "A file of the text, used as it is; - is standard input")
                   ->type_name("FILE")
                   ->required());
  constexpr int kMost = std::numeric_limits<int>::max();
  add_whole_number(
      app, "--context", options->context,
      {kLeastContext, kMost, fmt::format("a whole number from {} to {}", kLeastContext, kMost)},
      "Tokens of a chunk");
  add_count(app, "--chunks", options->chunks, "Most chunks; by default all of the text")
      ->default_str("");
  app.add_flag("--json", options->json, "Print one JSON object");
  app.footer(kExamples);
  return {&app, [options] { return PerplexityCommand(*options).run(); }};
}

}  // namespace orthrus::cli
