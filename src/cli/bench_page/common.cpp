#include <fmt/core.h>

#include "cli/bench_page/html.h"
#include "cli/bench_page/sections.h"

namespace orthrus::cli::bench_page {

std::string_view class_of(DraftSource source) {
  switch (source) {
    case DraftSource::kNone:
      return "plain";
    case DraftSource::kBlock:
      return "block";
    case DraftSource::kTree:
      return "tree";
    case DraftSource::kLeftover:
      return "left";
    case DraftSource::kLookup:
      return "look";
  }
  return "plain";
}

std::string_view words_for(DraftSource source) {
  switch (source) {
    case DraftSource::kNone:
      return "plain steps";
    case DraftSource::kBlock:
      return "draft blocks";
    case DraftSource::kTree:
      return "draft trees";
    case DraftSource::kLeftover:
      return "leftover drafts";
    case DraftSource::kLookup:
      return "lookup drafts";
  }
  return "";
}

std::string number(std::optional<double> value, int decimals) {
  if (!value) return "-";
  return fmt::format("<data value=\"{}\">{:.{}f}</data>", *value, *value, decimals);
}

std::string short_label(const std::string& text) {
  constexpr size_t kMost = 90;
  std::string line;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
    if (line.size() > kMost + 4) break;
  }
  return html_text_cut(line, kMost);
}

std::string figure(std::string_view caption, const std::string& picture, const std::string& below) {
  return fmt::format("<figure><figcaption>{}</figcaption>\n{}{}</figure>\n", html_text(caption),
                     picture, below);
}

}  // namespace orthrus::cli::bench_page
