#include "cli/help.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "cli/command_line.h"

namespace orthrus::cli {
namespace {

constexpr int kFewest = 40;  // narrower ones get lines of this
constexpr int kMost = 1000;
constexpr size_t kIndent = 2;
constexpr size_t kNames = 26;      // where descriptions begin
constexpr size_t kDescribed = 30;  // a description has at least as many columns, else it goes below

bool ends_between_arguments(std::string_view before, std::string_view after) {
  const bool quoted = std::count(before.begin(), before.end(), '\'') % 2 != 0;
  return !quoted && (after.starts_with('-') || after.starts_with('|'));
}

// Breaks `text` at spaces: its first line has `first` columns before it already, the others get
// `indent` spaces. A command of the shell is broken between its arguments, as a shell reads it.
std::string wrapped(std::string_view text, size_t first, size_t indent, size_t columns,
                    bool shell = false) {
  constexpr std::string_view kGoesOn = " \\";
  std::string result;
  size_t used = first;
  while (!text.empty()) {
    const size_t room = columns > used ? columns - used : 0;
    size_t end = text.size();
    if (end > room) {
      size_t last = std::string_view::npos;  // the last good break, or the first that there is
      for (size_t at = text.find(' '); at != text.npos; at = text.find(' ', at + 1)) {
        if (shell && !ends_between_arguments(text.substr(0, at), text.substr(at + 1))) continue;
        const size_t width = at + (shell ? kGoesOn.size() : 0);
        if (last != text.npos && width > room) break;
        last = at;
      }
      end = std::min(last, end);
    }
    result += text.substr(0, end);
    if (end == text.size()) break;
    text.remove_prefix(end + 1);
    if (shell) result += kGoesOn;
    result += '\n' + std::string(indent, ' ');
    used = indent;
  }
  return result;
}

// "-m, --model MODEL"
std::string names(const CLI::Option& option) {
  std::string text;
  for (const std::string& name : option.get_snames()) text += fmt::format("-{}, ", name);
  if (text.empty()) text = "    ";
  text += name_of(option);
  if (option.get_items_expected_max() > 0) text += " " + option.get_type_name();
  return text;
}

std::string description(const CLI::Option& option) {
  std::string text = option.get_description();
  if (option.get_required()) text += " (required)";
  if (!option.get_default_str().empty())
    text += fmt::format(" (default {})", option.get_default_str());
  return text;
}

// A name with what is said of it, to its right or below it.
std::string entry(const std::string& name, const std::string& text, size_t columns) {
  const std::string left = std::string(kIndent, ' ') + name;
  const bool beside = columns >= kNames + kDescribed;
  const size_t begin = beside ? kNames : kIndent + 6;
  if (beside && left.size() + 2 <= begin) {
    return left + std::string(begin - left.size(), ' ') + wrapped(text, begin, begin, columns) +
           '\n';
  }
  return left + '\n' + std::string(begin, ' ') + wrapped(text, begin, begin, columns) + '\n';
}

std::string options(const CLI::App& app, size_t columns) {
  std::string text;
  for (const std::string& group : app.get_groups()) {
    const auto members = app.get_options(
        [&group](const CLI::Option* option) { return option->get_group() == group; });
    if (members.empty()) continue;
    text += '\n' + wrapped(group + ':', 0, 0, columns) + '\n';
    for (const CLI::Option* const option : members) {
      text += entry(names(*option), description(*option), columns);
    }
  }
  return text;
}

std::string commands(const CLI::App& app, size_t columns) {
  std::string text;
  for (const CLI::App* const command : app.get_subcommands(nullptr)) {
    text += entry(command->get_name(), command->get_description(), columns);
  }
  return text.empty() ? text : "\nCommands:\n" + text;
}

bool is_indented(std::string_view line) {
  return line.starts_with(' ');
}

// Lines that begin with spaces are commands; what stands between them is text.
std::string footer(const std::string& text, size_t columns) {
  std::string result, paragraph;
  const auto end_paragraph = [&] {
    if (!paragraph.empty()) result += wrapped(paragraph, 0, 0, columns) + '\n';
    paragraph.clear();
  };
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.empty()) {
      end_paragraph();
      result += '\n';
    } else if (is_indented(line)) {
      end_paragraph();
      result += wrapped(line, 0, 3 * kIndent, columns, true) + '\n';
    } else {
      paragraph += fmt::format("{}{}", paragraph.empty() ? "" : " ", line);
    }
  }
  end_paragraph();
  return result;
}

int columns_of_environment() {
  const char* const text = std::getenv("COLUMNS");
  if (text == nullptr) return 0;
  const std::string_view digits = text;
  int columns = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), columns);
  return error == std::errc{} && end == digits.data() + digits.size() ? columns : 0;
}

}  // namespace

int terminal_columns() {
  int columns = columns_of_environment();
  for (const int file : {STDOUT_FILENO, STDERR_FILENO}) {
    winsize size{};
    if (columns <= 0 && isatty(file) != 0 && ioctl(file, TIOCGWINSZ, &size) == 0) {
      columns = size.ws_col;
    }
  }
  return columns <= 0 ? 80 : std::clamp(columns, kFewest, kMost);
}

std::string help_of(const CLI::App& app, int columns) {
  const auto width = static_cast<size_t>(columns);
  const CLI::App* const parent = app.get_parent();
  const std::string usage =
      parent == nullptr ? fmt::format("Usage: {} COMMAND [OPTIONS]", app.get_name())
                        : fmt::format("Usage: {} {} [OPTIONS]", parent->get_name(), app.get_name());
  return fmt::format("{}\n\n{}\n{}{}\n{}", wrapped(app.get_description(), 0, 0, width), usage,
                     options(app, width), commands(app, width), footer(app.get_footer(), width));
}

}  // namespace orthrus::cli
