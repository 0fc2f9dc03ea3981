#include "cli/prompt_source.h"

#include <fmt/core.h>

#include <limits>

#include "cli/input.h"
#include "cli/numbers.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "cli/utf8.h"
#include "orthrus/error.h"

namespace orthrus::cli {

std::string read_text(const std::string& file) {
  std::string text = file == "-" ? read_standard_input() : read_file(file);
  check_utf8(name_of_text(file), text);
  return text;
}

std::string name_of_text(const std::string& file) {
  return file == "-" ? "Standard input" : without_controls(file);
}

TokenIds read_ids(std::string_view option, const std::string& value) {
  const Range<int32_t> range{0, std::numeric_limits<int32_t>::max(),
                             "a token id, as in 1,2,3: a whole number from 0 to 2147483647"};
  if (value == "-") {
    return parse_numbers(fmt::format("{}: standard input", option), read_standard_input(), range);
  }
  if (!value.starts_with('@')) return parse_numbers(option, value, range);
  const std::string file = value.substr(1);
  if (file.empty()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is \"@\"; a file's name goes behind it.", option));
  }
  return parse_numbers(fmt::format("{}: {}", option, without_controls(file)), read_file(file),
                       range);
}

std::string ids_in_words(const TokenIds& ids) {
  std::string text;
  for (const int32_t id : ids) {
    if (!text.empty()) text += ',';
    text += std::to_string(id);
  }
  return text;
}

void PromptSource::add_to(CLI::App& app) {
  app.add_option("-p,--prompt", text_, "The text itself")->type_name("TEXT");
  refuse_empty(app.add_option("-f,--file", file_,
                              "A file of the text, used as it is, its last newline included; - is "
                              "standard input")
                   ->type_name("FILE"));
}

void PromptSource::add_ids_to(CLI::App& app, const std::string& name,
                              const std::string& description) {
  ids_name_ = name;
  app.add_option(name, ids_, description)->type_name("IDS");
}

Prompt PromptSource::read() const {
  const int sources = int{text_.has_value()} + int{file_.has_value()} + int{ids_.has_value()};
  const std::string names =
      ids_name_.empty() ? "--prompt and --file" : fmt::format("--prompt, --file and {}", ids_name_);
  if (sources > 1) {
    throw Error(ErrorKind::kUsage,
                fmt::format("Only one of {} can be given; {} were.", names, sources));
  }
  if (text_) {
    check_utf8("--prompt", *text_);
    return *text_;
  }
  if (file_) return read_text(*file_);
  if (ids_) return read_ids(ids_name_, *ids_);
  if (standard_input_is_terminal()) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("There is no prompt; give one of {}, or pipe text to standard input.", names));
  }
  return read_text("-");
}

}  // namespace orthrus::cli
