// orthrus tokenize: text to token ids, and back.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt_source.h"
#include "cli/report.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "orthrus/config.h"
#include "orthrus/error.h"
#include "orthrus/tokenizer.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus tokenize -m models/tiny-code -p 'def fibonacci(n):'
  orthrus tokenize -m models/tiny-code -f begin.py --pieces
  orthrus tokenize --tokenizer tokenizer.json --count < README.md
  orthrus tokenize -m models/tiny-code --decode 1,2,3
  orthrus tokenize -m models/tiny-code --decode @ids.txt

The ids are printed as --prompt-ids and --decode take them: 1,2,3. In a file or on standard input
they may also stand in brackets, and apart by spaces or on lines of their own.)";

struct Options {
  std::optional<std::string> directory;
  std::optional<std::string> file;
  PromptSource source;
  bool pieces = false;
  bool count = false;
  bool json = false;
};

Tokenizer tokenizer_of(const Options& options) {
  if (options.directory.has_value() == options.file.has_value()) {
    throw Error(ErrorKind::kUsage, "Give either --model or --tokenizer.");
  }
  if (options.file) return Tokenizer::load(*options.file);
  return load_tokenizer(*options.directory);
}

// A model may have more ids than its tokenizer: they fill its embedding up and have no text.
void check_ids(const TokenIds& ids, const Tokenizer& tokenizer, const Options& options) {
  const auto is_known = [&](int32_t id) { return id < tokenizer.vocab_size(); };
  if (std::ranges::all_of(ids, is_known)) return;
  int most = tokenizer.vocab_size();
  if (options.directory) most = std::max(most, load_config(*options.directory).vocab_size);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < most) continue;
    throw Error(ErrorKind::kUsage,
                fmt::format("--decode: item {} is {}; this {}'s ids are 0 to {}.", i + 1, ids[i],
                            options.directory ? "model" : "tokenizer", most - 1));
  }
}

std::string decoded(const TokenIds& ids, const Tokenizer& tokenizer, const Options& options) {
  check_ids(ids, tokenizer, options);
  const std::string text = tokenizer.decode(ids);
  const Style style = style_of_output(ColorChoice::kNever);
  return style.terminal ? without_controls(text) + "\n" : text;
}

std::string encoded(const std::string& text, const Tokenizer& tokenizer, const Options& options) {
  const TokenIds ids = tokenizer.encode(text);
  if (options.count) return fmt::format("{}\n", ids.size());
  if (options.json) return json_line(ids);
  if (!options.pieces) return ids_in_words(ids) + "\n";
  std::string lines;
  for (const int32_t id : ids) {
    lines += fmt::format("{:>7}  \"{}\"\n", id, escaped(tokenizer.token_bytes(id)));
  }
  return lines;
}

int run(const Options& options) {
  const Prompt input = options.source.read();
  const Tokenizer tokenizer = tokenizer_of(options);
  const auto* ids = std::get_if<TokenIds>(&input);
  Output output;
  output.write(ids ? decoded(*ids, tokenizer, options)
                   : encoded(std::get<std::string>(input), tokenizer, options));
  return output.finish(kSuccess);
}

}  // namespace

Command add_tokenize(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app = *root.add_subcommand("tokenize", "Turn text into token ids, or back");
  refuse_empty(
      app.add_option("-m,--model", options->directory, "A checkpoint's directory, or a GGUF file")
          ->type_name("MODEL"));
  refuse_empty(app.add_option("--tokenizer", options->file, "A tokenizer.json")->type_name("FILE"));
  options->source.add_to(app);
  options->source.add_ids_to(
      app, "--decode", "Print the text of these ids: 1,2,3, or @FILE, or - for standard input");
  CLI::Option* const pieces =
      app.add_flag("--pieces", options->pieces, "A line for each token: id and bytes");
  CLI::Option* const count = app.add_flag("--count", options->count, "Only how many tokens");
  CLI::Option* const json = app.add_flag("--json", options->json, "The ids as a JSON array");
  pieces->excludes(count)->excludes(json);
  count->excludes(json);
  for (CLI::Option* option : {pieces, count, json}) option->excludes("--decode");
  app.footer(kExamples);
  return {&app, [options] { return run(*options); }};
}

}  // namespace orthrus::cli
