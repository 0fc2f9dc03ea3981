// orthrus generate: continues a prompt.
#include <fmt/core.h>

#include <memory>
#include <span>
#include <utility>
#include <variant>

#include "cli/chat_format.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt_source.h"
#include "cli/report.h"
#include "cli/running.h"
#include "cli/stream_printer.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus generate -m models/tiny-code -p 'def fibonacci(n):'
  orthrus generate -m models/tiny-code -f begin.py -n 64 --compare-ar
  orthrus generate -m models/tiny-code -p 'import' --temperature 0.7 --seed 3
  orthrus generate -m models/tiny-code --prompt-ids 1,2,3 --json
  orthrus generate -m model.gguf --chat -p 'What is a B-tree?'
  git show HEAD | orthrus generate -m models/tiny-code --stop 'def '

The text goes to standard output, the summary to standard error. Ctrl-C ends the generation after
the pass that runs, with the summary, and exit code 130; so does SIGTERM, with 143.)";

struct Options {
  ModelOptions model;
  PromptSource prompt;
  bool chat = false;
  ChatFormatOption format;
  DecodingOptions decoding;
  int max_tokens = GenerateOptions{}.max_tokens;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  bool json = false;
  bool quiet = false;
  bool compare_ar = false;
  ColorChoice color = ColorChoice::kAuto;
};

// Of a long prompt, what fits a screen: whole lines of its end.
std::string_view end_of(std::string_view prompt) {
  constexpr size_t kMost = 2000;
  if (prompt.size() <= kMost) return prompt;
  const size_t newline = prompt.find('\n', prompt.size() - kMost);
  return newline == std::string_view::npos ? std::string_view{} : prompt.substr(newline + 1);
}

class GenerateCommand {
 public:
  explicit GenerateCommand(const Options& options)
      : options_(options),
        prompt_(options.prompt.read()),
        format_(chat_format(options, prompt_)),
        engine_(checked_engine(options)),
        style_(style_of_output(options.color)) {}

  int run() {
    const Interrupt interrupt;
    const Generation generation =
        options_.json ? generate_silently(interrupt, request_) : generate_aloud(interrupt);
    if (output_.failed()) return output_.finish(kFailure);
    check_not_failed(generation);
    if (tells_more()) {
      // On a line of its own also where both streams go to one place.
      write_error_stream("\n" + summary(generation, options_.decoding.sampling.seed.if_drawn()));
    }

    std::optional<Generation> plain_ar;
    if (options_.compare_ar && !interrupt.requested()) {
      plain_ar = generate_in_plain_ar(interrupt, generation.output_ids.size());
      check_not_failed(*plain_ar);
      if (interrupt.requested()) plain_ar.reset();
    }
    if (plain_ar && tells_more()) write_error_stream(comparison(generation, *plain_ar));
    if (options_.json) write_json(generation, plain_ar);
    return output_.finish(exit_code(generation, plain_ar, interrupt));
  }

 private:
  // Makes the request, too: what is wrong with it is told before the weights are read.
  Engine checked_engine(const Options& options) {
    ModelFiles files = open_model(options.model);
    if (options.chat) warn(options.format.warning(files.tokenizer()));
    request_.options = options.decoding.resolve(files.config());
    request_.options.max_tokens = options.max_tokens;
    // The checkpoint's stop strings end a text as its end tokens do.
    std::vector<std::string>& stop = request_.options.stop;
    if (options.ignore_eos || files.tokenizer() == nullptr) stop.clear();
    stop.insert(stop.end(), options.stop.begin(), options.stop.end());
    request_.options.ignore_eos = options.ignore_eos;
    const bool by_chance =
        request_.options.accept == AcceptRule::kRejection && !request_.options.sampling.greedy();
    if (options.compare_ar && by_chance) {
      throw Error(ErrorKind::kUsage,
                  "--compare-ar needs --accept match, or --temperature 0: with --accept rejection "
                  "only the distribution is that of plain AR decoding, not the tokens.");
    }
    const auto* text = std::get_if<std::string>(&prompt_);
    request_.prompt = text ? files.encode(whole_prompt(*text)) : std::get<TokenIds>(prompt_);
    validate(request_, files.config(), files.tokenizer());
    return load_engine(std::move(files));
  }

  // Of --chat; kNone without.
  static ChatFormat chat_format(const Options& options, const Prompt& prompt) {
    if (!options.chat) return ChatFormat::kNone;
    if (!std::holds_alternative<std::string>(prompt)) {
      throw Error(ErrorKind::kUsage, "--chat takes a text; token ids are used as they are.");
    }
    return options.format.resolve(options.model.directory);
  }

  std::string whole_prompt(const std::string& text) const {
    if (!options_.chat) return text;
    ChatMessage message;
    message.role = "user";
    message.content = text;
    return render_chat(format_, std::span(&message, 1));
  }

  bool tells_more() const { return !options_.json && !options_.quiet; }

  static int exit_code(const Generation& generation, const std::optional<Generation>& plain_ar,
                       const Interrupt& interrupt) {
    if (plain_ar && generation.output_ids != plain_ar->output_ids) return kFailure;
    return interrupt.requested() ? interrupt.exit_code() : kSuccess;
  }

  Generation generate_silently(const Interrupt& interrupt, Request request) {
    watch(request, interrupt);
    return engine_.generate(request);
  }

  Generation generate_in_plain_ar(const Interrupt& interrupt, size_t expected_tokens) {
    Request request = request_;
    request.options.mode = Mode::kAr;
    request.options.block_size = 0;
    request.options.tree_nodes.reset();
    Progress progress("Plain AR decoding");
    size_t tokens = 0;
    watch(request, interrupt, [&](const Step& step) {
      tokens += step.tokens.size();
      progress.update(static_cast<double>(tokens), static_cast<double>(expected_tokens));
      return true;
    });
    return engine_.generate(request);
  }

  Generation generate_aloud(const Interrupt& interrupt) {
    StreamPrinter printer(output_, style_, engine_.tokenizer());
    const auto* text = std::get_if<std::string>(&prompt_);
    bool echo = text && style_.color && !options_.chat;
    Request request = request_;
    // The prompt is echoed when nothing can be refused any more, and no line of progress follows.
    watch(request, interrupt, [&](const Step& step) {
      if (std::exchange(echo, false)) printer.put_prompt(end_of(*text));
      return printer.put(step);
    });
    Generation generation = engine_.generate(request);
    // To a file or a pipe goes the text as it is; a line of ids always ends.
    if (style_.terminal || engine_.tokenizer() == nullptr) printer.end_line();
    return generation;
  }

  void write_json(const Generation& generation, const std::optional<Generation>& plain_ar) {
    nlohmann::ordered_json json;
    if (engine_.tokenizer() != nullptr) json["text"] = generation.text;
    json["prompt_ids"] = request_.prompt;
    json["output_ids"] = generation.output_ids;
    json["finish_reason"] = name_of(generation.finish_reason);
    json["seed"] = request_.options.sampling.seed;
    json["stats"] = to_json(generation.stats);
    if (plain_ar) json["equal_to_ar"] = generation.output_ids == plain_ar->output_ids;
    output_.write(json_line(json));
  }

  const Options& options_;
  Prompt prompt_;
  ChatFormat format_;
  Request request_;
  Engine engine_;
  Style style_;
  Output output_;
};

}  // namespace

Command add_generate(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app = *root.add_subcommand("generate", "Continue a prompt");
  options->model.add_to(app);
  options->prompt.add_to(app);
  options->prompt.add_ids_to(app, "--prompt-ids",
                             "Token ids, as 1,2,3; @FILE reads them from a file, - from standard "
                             "input; needs no tokenizer");
  app.add_flag(
      "--chat", options->chat,
      "The prompt is a message: put it into the model's chat format, and print the answer");
  options->format.add_to(app);
  add_count(app, "-n,--max-tokens", options->max_tokens,
            "Most tokens to generate; the context may end it before");
  refuse_empty(app.add_option("--stop", options->stop,
                              "End the text before this string or special token; again for "
                              "another: --stop A --stop B")
                   ->type_name("TEXT")
                   ->allow_extra_args(false));
  app.add_flag(
      "--ignore-eos", options->ignore_eos,
      "Go on after the ends that the checkpoint asks for: end-of-sequence tokens, stop strings");
  app.add_flag("--json", options->json, "Print one JSON object, at the end, in place of the text");
  app.add_flag("-q,--quiet", options->quiet, "No summary on standard error");
  app.add_flag("--compare-ar", options->compare_ar,
               "Decode again in plain AR mode; fail unless the ids are the same");
  add_color(app, options->color);
  options->decoding.add_to(app);
  app.footer(kExamples);
  return {&app, [options] { return GenerateCommand(*options).run(); }};
}

}  // namespace orthrus::cli
