// The command line: which subcommand, and what becomes of errors.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/text.h"
#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "orthrus/measure.h"

namespace orthrus::cli {
namespace {

int print_help(const std::string& text) {
  Output output;
  output.write(text);
  return output.finish(kSuccess);
}

// CLI11 would only say that a command is missing.
void check_command(std::string_view word, std::span<const Command> commands) {
  if (word.starts_with('-')) return;
  std::string names;
  for (const Command& command : commands) {
    if (word == command.app->get_name()) return;
    names += (names.empty() ? "" : ", ") + command.app->get_name();
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("{} is not a command; valid is one of {}.", in_quotes(word), names));
}

// `orthrus help COMMAND` is `orthrus COMMAND --help`.
std::vector<std::string> help_words(const std::vector<std::string>& topics) {
  if (topics.size() > 1) {
    throw Error(ErrorKind::kUsage,
                "orthrus help takes one command at most: orthrus help generate.");
  }
  if (topics.empty()) return {"--help"};
  return {topics[0], "--help"};
}

int run(int argc, char** argv) {
  CLI::App app("Exact Orthrus dual-view decoding of Qwen models.", "orthrus");
  // A function, since finding out what the kernels use takes them a moment.
  app.set_version_flag("--version", std::function<std::string()>([] {
                         return fmt::format("orthrus {}\nprocessor  {}\nCUDA       {} device(s)",
                                            ORTHRUS_VERSION, kernels_in_use(), cuda_devices());
                       }));
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer("orthrus help COMMAND tells a command's options, with examples.");
  const Command commands[] = {add_generate(app), add_chat(app),  add_inspect(app),
                              add_tokenize(app), add_bench(app), add_perplexity(app)};
  if (argc <= 1) {
    write_error_stream(app.help());
    return kUsageError;
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words[0] == "help") words = help_words({words.begin() + 1, words.end()});
  check_command(words[0], commands);
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    return print_help(app.help());
  } catch (const CLI::CallForVersion& version) {
    return print_help(std::string(version.what()) + "\n");
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}\nSee orthrus --help, or orthrus COMMAND --help.", error.what()));
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.run();
  }
  return kUsageError;
}

}  // namespace
}  // namespace orthrus::cli

int main(int argc, char** argv) {
  using namespace orthrus;
  // A reader that has gone is met as a failed write, not as the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return cli::run(argc, argv);
  } catch (const Error& error) {
    cli::print_error(error.what());
    return error.kind() == ErrorKind::kUsage ? cli::kUsageError : cli::kFailure;
  } catch (const std::bad_alloc&) {
    cli::print_error("There is not enough memory.");
  } catch (const std::exception& error) {
    cli::print_error(error.what());
  }
  return cli::kFailure;
}
