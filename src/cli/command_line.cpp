#include "cli/command_line.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/suggest.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

bool is_flag(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

bool takes_many(const CLI::Option& option) {
  return option.get_items_expected_max() > 1;
}

CLI::Option* find_long(CLI::App& command, std::string_view name) {
  for (CLI::Option* option : command.get_options()) {
    const auto& names = option->get_lnames();
    if (std::find(names.begin(), names.end(), name) != names.end()) return option;
  }
  return nullptr;
}

CLI::Option* find_short(CLI::App& command, char letter) {
  for (CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_snames()) {
      if (name[0] == letter) return option;
    }
  }
  return nullptr;
}

struct Given {
  CLI::Option* option;
  std::vector<std::string> values;
  bool by_variable = false;
};

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t comma = 0; comma != std::string_view::npos;) {
    comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return parts;
}

class WordReader {
 public:
  WordReader(CLI::App& command, const std::vector<std::string>& words)
      : command_(command), words_(words) {}

  Wanted read() {
    while (next_ < words_.size()) read_word(words_[next_++]);
    if (help_) return Wanted::kHelp;
    read_environment();
    check_together();
    if (!problems_.empty()) fail();
    for (const Given& given : given_) set(given);
    return Wanted::kRun;
  }

 private:
  void read_word(const std::string& word) {
    const bool told = std::exchange(told_, false);
    if (only_words_) return unexpected(word, told);
    if (word == "--") {
      only_words_ = true;
    } else if (word.starts_with("--")) {
      read_long(word);
    } else if (word.starts_with('-') && word.size() > 1) {
      read_short(word);
    } else if (word == "help" && words_.size() == 1) {
      help_ = true;
    } else {
      unexpected(word, told);
    }
  }

  void read_long(const std::string& word) {
    const size_t equals = word.find('=');
    CLI::Option* const option = find_long(command_, std::string_view(word).substr(2, equals - 2));
    if (option == nullptr) return unknown(word.substr(0, equals), equals == std::string::npos);
    if (equals == std::string::npos) return take(*option, word, std::nullopt);
    take(*option, word.substr(0, equals), word.substr(equals + 1));
  }

  void read_short(const std::string& word) {
    const std::string name = word.substr(0, 2);
    CLI::Option* const option = find_short(command_, word[1]);
    const std::string long_name = word.substr(1, word.find('=') - 1);
    // "-model x" is not -m with the value "odel".
    if (option == nullptr || (long_name.size() > 1 && find_long(command_, long_name) != nullptr)) {
      return unknown(word.substr(0, word.find('=')), word.find('=') == std::string::npos);
    }
    if (word.size() == 2) return take(*option, name, std::nullopt);
    if (is_flag(*option)) {
      problems_.push_back(
          fmt::format("{} takes no value, but {} gives one.", name, as_typed(word)));
    } else if (word[2] == '=') {
      problems_.push_back(fmt::format("{}: write {} {}, or {}={}.", as_typed(word), name,
                                      as_typed(word.substr(3)), cli::name_of(*option),
                                      as_typed(word.substr(3))));
    } else {
      take(*option, name, word.substr(2));
    }
  }

  // `typed` is the name that was typed; without `value` that is the next word.
  void take(CLI::Option& option, const std::string& typed, std::optional<std::string> value) {
    if (&option == command_.get_help_ptr()) {
      help_ = true;
      return;
    }
    if (is_flag(option)) {
      if (value) problems_.push_back(fmt::format("{} takes no value; leave out \"=\".", typed));
      value = "true";
    } else if (!value && next_ < words_.size()) {
      value = words_[next_++];
    }
    if (!value) {
      problems_.push_back(
          fmt::format("{} needs a value: {} {}.", typed, typed, option.get_type_name()));
      value = "";
    }
    last_ = &option;
    Given* given = find_given(option);
    if (given == nullptr) given = &given_.emplace_back(Given{&option, {}});
    if (is_flag(option)) given->values.clear();  // again is as once
    given->values.push_back(*std::move(value));
  }

  void unknown(const std::string& typed, bool value_may_follow) {
    problems_.push_back(fmt::format("{} has no option {}{}", command_.get_name(), as_typed(typed),
                                    did_you_mean(typed, option_names(command_))));
    told_ = value_may_follow;
  }

  // What stands behind an unknown option is its value, most likely; behind an unexpected word, more
  // of the same. Both are told already.
  void unexpected(const std::string& word, bool told) {
    told_ = true;
    if (told) return;
    std::string hint;
    if (last_ != nullptr && last_->get_type_name() == "TEXT") {
      hint = fmt::format("; a text of several words is put in quotes: {} 'two words'",
                         cli::name_of(*last_));
    } else if (const CLI::Option* const option = likely_option()) {
      hint = fmt::format("; is it the value of {}?", usage_of(*option));
    }
    problems_.push_back(fmt::format("{} belongs to no option{}", in_quotes(word),
                                    hint.ends_with('?') ? hint : hint + "."));
  }

  // What a word without an option is, most likely: what was not given yet.
  const CLI::Option* likely_option() {
    for (const char* const name : {"model", "prompt", "file"}) {
      CLI::Option* const option = find_long(command_, name);
      if (option != nullptr && find_given(*option) == nullptr) return option;
    }
    return nullptr;
  }

  // What the words give goes before it.
  void read_environment() {
    for (CLI::Option* const option : command_.get_options()) {
      const std::string& variable = option->get_envname();
      if (variable.empty() || find_given(*option) != nullptr || is_excluded(*option)) continue;
      const char* const value = std::getenv(variable.c_str());
      if (value == nullptr) continue;
      if (*value == '\0') {
        problems_.push_back(variable + " is empty; give it a value, or unset it.");
        continue;
      }
      given_.push_back(
          {.option = option,
           .values = takes_many(*option) ? split_at_commas(value) : std::vector<std::string>{value},
           .by_variable = true});
    }
  }

  // By a word.
  bool is_excluded(CLI::Option& option) const {
    return std::ranges::any_of(given_, [&](const Given& given) {
      return !given.by_variable && given.option->get_excludes().count(&option) > 0;
    });
  }

  void check_together() {
    for (const Given& given : given_) {
      const std::string name = cli::name_of(*given.option);
      if (given.values.size() > 1 && !takes_many(*given.option)) {
        problems_.push_back(
            fmt::format("{} is given {} times; give it once.", name, given.values.size()));
      }
      for (const CLI::Option* const other : given.option->get_needs()) {
        if (find_given(*other) != nullptr) continue;
        problems_.push_back(fmt::format("{} goes with {} only.", name, cli::name_of(*other)));
      }
    }
    for (size_t i = 0; i < given_.size(); ++i) {
      for (size_t j = i + 1; j < given_.size(); ++j) {
        if (given_[i].option->get_excludes().count(given_[j].option) == 0) continue;
        problems_.push_back(fmt::format("{} and {} cannot be given together.",
                                        name_as_given(given_[i]), name_as_given(given_[j])));
      }
    }
    if (!problems_.empty()) return;  // a missing option may be the one that was misspelt
    for (const CLI::Option* const option : command_.get_options()) {
      if (!option->get_required() || find_given(*option) != nullptr) continue;
      problems_.push_back(fmt::format("{} is missing: {} needs {}.", cli::name_of(*option),
                                      command_.get_name(), usage_of(*option)));
    }
  }

  Given* find_given(const CLI::Option& option) {
    const auto found = std::find_if(given_.begin(), given_.end(),
                                    [&](const Given& given) { return given.option == &option; });
    return found == given_.end() ? nullptr : &*found;
  }

  static std::string name_as_given(const Given& given) {
    return given.by_variable ? given.option->get_envname() : cli::name_of(*given.option);
  }

  [[noreturn]] void fail() const {
    constexpr size_t kMost = 4;
    std::string message;
    for (size_t i = 0; i < std::min(kMost, problems_.size()); ++i) message += problems_[i] + '\n';
    if (problems_.size() > kMost) {
      message += fmt::format("And {} more.\n", counted(problems_.size() - kMost, "such fault"));
    }
    throw Error(ErrorKind::kUsage,
                message + fmt::format("See orthrus {} --help.", command_.get_name()));
  }

  static void set(const Given& given) {
    try {
      for (const std::string& value : given.values) given.option->add_result(value);
      given.option->run_callback();
    } catch (const Error& error) {
      const std::string name = cli::name_of(*given.option);
      const std::string message = error.what();
      if (!given.by_variable || !message.starts_with(name)) throw;
      throw Error(error.kind(), given.option->get_envname() + message.substr(name.size()));
    }
  }

  CLI::App& command_;
  const std::vector<std::string>& words_;
  size_t next_ = 0;
  bool help_ = false;
  bool only_words_ = false;  // behind "--"
  bool told_ = false;        // a problem is told that explains the next word, too
  const CLI::Option* last_ = nullptr;
  std::vector<Given> given_;  // in the order of the words
  std::vector<std::string> problems_;
};

// As a word of a shell.
std::string quoted(const std::string& word) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("-_./,:=@+").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace

std::string as_given(const CLI::App& command) {
  std::string line = "orthrus " + command.get_name();
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0) continue;
    const auto& letters = option->get_snames();
    const std::string name = letters.empty() ? name_of(*option) : "-" + letters[0];
    if (is_flag(*option)) {
      line += " " + name;
      continue;
    }
    for (const std::string& value : option->results()) line += " " + name + " " + quoted(value);
  }
  return line;
}

std::string name_of(const CLI::Option& option) {
  return option.get_lnames().empty() ? "-" + option.get_snames()[0] : "--" + option.get_lnames()[0];
}

std::string usage_of(const CLI::Option& option) {
  const std::string name =
      option.get_snames().empty() ? name_of(option) : "-" + option.get_snames()[0];
  return is_flag(option) ? name : fmt::format("{} {}", name, option.get_type_name());
}

void add_variables(CLI::App& command, const std::string& prefix) {
  for (CLI::Option* const option : command.get_options()) {
    if (option == command.get_help_ptr() || option->get_lnames().empty()) continue;
    std::string name = option->get_lnames()[0];
    for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
    option->envname(prefix + '_' + name);
  }
}

std::vector<std::string> unknown_variables(const CLI::App& command, const std::string& prefix) {
  std::vector<std::string> known, unknown;
  for (const CLI::Option* const option : command.get_options()) {
    if (!option->get_envname().empty()) known.push_back(option->get_envname());
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    std::string name(*variable);
    name.resize(std::min(name.find('='), name.size()));
    if (!name.starts_with(prefix + '_')) continue;
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    unknown.push_back(as_typed(name) + " is not known" + did_you_mean(name, known));
  }
  return unknown;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

std::string in_option_names(const CLI::App& command, const std::string& message) {
  std::string name = message.substr(0, message.find(' '));
  std::replace(name.begin(), name.end(), '_', '-');
  const bool is_said_of = message.find(" is ") == name.size();
  const CLI::Option* const option = is_said_of ? command.get_option_no_throw("--" + name) : nullptr;
  return option == nullptr ? message : "--" + name + message.substr(name.size());
}

Wanted read_words(CLI::App& command, const std::vector<std::string>& words) {
  return WordReader(command, words).read();
}

}  // namespace orthrus::cli
