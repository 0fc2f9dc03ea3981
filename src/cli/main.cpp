// The command line: which subcommand, and what becomes of errors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "cli/text.h"
#include "cli/version.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

using Words = std::vector<std::string>;

int print(const std::string& text) {
  Output output;
  output.write(text);
  return output.finish(kSuccess);
}

bool asks_for_help(const std::string& word) {
  return word == "help" || word == "-h" || word == "--help";
}

// Its commands take its help option over.
std::unique_ptr<CLI::App> root() {
  auto app =
      std::make_unique<CLI::App>("Exact Orthrus dual-view decoding of Qwen models.", "orthrus");
  app->set_help_flag("-h,--help", "Print this help");
  app->set_version_flag("--version", "", "Print the version, and what this build runs on");
  app->footer("orthrus help COMMAND tells a command's options, with examples.");
  return app;
}

class Orthrus {
 public:
  int run(const Words& words) {
    if (words.empty()) {
      write_error_stream(help_of(*app_, terminal_columns()));
      return kUsageError;
    }
    const Words rest(words.begin() + 1, words.end());
    if (asks_for_help(words[0])) return help(rest);
    if (words[0] == "--version") return print(version());
    const Command* const command = find(words[0]);
    if (command == nullptr) {
      throw Error(ErrorKind::kUsage,
                  words[0].starts_with('-') ? misplaced(words) : unknown(words[0]));
    }
    if (read_words(*command->app, rest) == Wanted::kHelp) return help({words[0]});
    try {
      return command->run();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUsage) throw;
      throw Error(ErrorKind::kUsage, in_option_names(*command->app, error.what()));
    }
  }

 private:
  const Command* find(const std::string& name) const {
    const auto found = std::find_if(commands_.begin(), commands_.end(),
                                    [&](const Command& c) { return c.app->get_name() == name; });
    return found == commands_.end() ? nullptr : &*found;
  }

  // `orthrus help COMMAND` is `orthrus COMMAND --help`; `topics` may ask for help once more.
  int help(Words topics) const {
    std::erase_if(topics, asks_for_help);
    if (topics.size() > 1) {
      throw Error(ErrorKind::kUsage,
                  "orthrus help takes one command at most: orthrus help generate.");
    }
    const Command* const command = topics.empty() ? nullptr : find(topics[0]);
    if (!topics.empty() && command == nullptr) throw Error(ErrorKind::kUsage, unknown(topics[0]));
    return print(help_of(command ? *command->app : *app_, terminal_columns()));
  }

  Words command_names() const {
    Words names;
    for (const Command& command : commands_) names.push_back(command.app->get_name());
    return names;
  }

  std::string unknown(const std::string& word) const {
    Words known = command_names();
    known.insert(known.end(), {"help", "--version"});
    const std::string meant = nearest(word, known);
    return meant.empty() ? fmt::format("{} is not a command; valid is one of {}.", in_quotes(word),
                                       fmt::join(command_names(), ", "))
                         : fmt::format("{} is not a command; did you mean {}?\nSee orthrus --help.",
                                       in_quotes(word), meant);
  }

  // An option where the command should be.
  std::string misplaced(const Words& words) const {
    const std::string typed = words[0].substr(0, words[0].find('='));
    for (const std::string& word : words) {
      if (find(word) == nullptr) continue;
      return fmt::format("The command comes first, its options behind it: orthrus {} {} ...", word,
                         as_typed(typed));
    }
    Words known = option_names(*app_);
    for (const Command& command : commands_) {
      const Words names = option_names(*command.app);
      if (std::find(names.begin(), names.end(), typed) == names.end()) continue;
      return fmt::format(
          "The command is missing; it comes before its options: orthrus {} {} ...\n"
          "See orthrus --help.",
          command.app->get_name(), typed);
    }
    return fmt::format("orthrus has no option {}{}\nSee orthrus --help.", as_typed(typed),
                       did_you_mean(typed, known));
  }

  const std::unique_ptr<CLI::App> app_ = root();
  const std::vector<Command> commands_ = {add_generate(*app_), add_chat(*app_),
#ifdef ORTHRUS_WITH_SERVER
                                          add_serve(*app_),
#endif
                                          add_inspect(*app_),  add_tokenize(*app_),
                                          add_bench(*app_),    add_perplexity(*app_)};
};

// Prints what is wrong, but for std::bad_alloc, which it throws.
int run(const Words& words) {
  try {
    return Orthrus().run(words);
  } catch (const Error& error) {
    print_error(error.what());
    return error.kind() == ErrorKind::kUsage ? kUsageError : kFailure;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    print_error(error.what());
    return kFailure;
  }
}

}  // namespace
}  // namespace orthrus::cli

int main(int argc, char** argv) {
  using namespace orthrus;
  // A reader that has gone, or a file at its largest, is met as a failed write, not as the end of
  // the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return cli::run({argv + std::min(argc, 1), argv + argc});
  } catch (const std::bad_alloc&) {  // from printing an error, too: so nothing is allocated here
    cli::write_error_stream("orthrus: There is not enough memory.\n");
  }
  return cli::kFailure;
}
