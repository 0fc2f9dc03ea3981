// The words behind a command's name. CLI11 keeps the table of options; the words are read here, as
// CLI11 takes "--option=" to have no value, and tells faults in a programmer's words.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace orthrus::cli {

enum class Wanted { kRun, kHelp };

// Sets the options of `command` from "--name value", "--name=value" (also an empty one), "-n value"
// and "-nvalue". Throws Error(kUsage) for what is unknown, unexpected, given twice, without its
// value, missing, or not to be given with another; and what an option throws for its value. Where
// --help is among the words, nothing is set and nothing else is an error. What is not among the
// words is looked for in the environment, under the option's variable, where it has one.
Wanted read_words(CLI::App& command, const std::vector<std::string>& words);

// "--model", or "-h" of an option without a long name.
std::string name_of(const CLI::Option& option);
// "-m MODEL", the shortest way to give it.
std::string usage_of(const CLI::Option& option);

// Gives each option of `command` a variable of the environment: PREFIX_API_KEY for --api-key. An
// empty one is an error: an API key that is missing in a script must not open the server. Of an
// option that may be given several times, commas separate the values. Words go before variables,
// also before those of options that they exclude.
void add_variables(CLI::App& command, const std::string& prefix);

// What is wrong with variables of the environment that begin so, and are none of the command's
// options: "ORTHRUS_PROT is not known; did you mean ORTHRUS_PORT?".
std::vector<std::string> unknown_variables(const CLI::App& command, const std::string& prefix);

// "orthrus bench -m MODEL -n 64": the command with the options that were given, for a shell.
std::string as_given(const CLI::App& command);

// The names by which a command's options can be given: "--model", "-m", ...
std::vector<std::string> option_names(const CLI::App& command);

// An error of the library in the names that a person types: where it begins with a field that an
// option of the command sets ("block_size is 33; ..."), with the option ("--block-size is 33;
// ...").
std::string in_option_names(const CLI::App& command, const std::string& message);

}  // namespace orthrus::cli
