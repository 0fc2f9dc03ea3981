// Speeds beside plain decoding: a table whose cells are bars.
#include <fmt/core.h>

#include <algorithm>

#include "cli/bench_page/html.h"
#include "cli/bench_page/sections.h"
#include "cli/text.h"

namespace orthrus::cli::bench_page {
namespace {

// The number stands behind the bar, so the longest bar leaves room for it.
std::string bar(std::string_view style, double speed, double most) {
  const double share = most > 0 ? speed / most : 0;
  return fmt::format(
      "<span class=\"bar\"><span class=\"{}\" style=\"width:calc((100% - 4.5rem) * "
      "{:.3f})\"></span>"
      "{}</span>",
      style, share, number(speed, 1));
}

std::string bars(double ar_speed, std::optional<double> speed, double most) {
  return bar("plain", ar_speed, most) + (speed ? bar("mode", *speed, most) : "");
}

class SpeedTable {
 public:
  explicit SpeedTable(const BenchResults& results) : results_(results) {
    for (const BenchRow& row : results.rows()) {
      most_ = std::max({most_, row.ar_speed, row.speed.value_or(0)});
    }
  }

  std::string head() const {
    std::string head = "<tr><th scope=\"col\">prompt</th><th scope=\"col\">tokens/s</th>";
    if (results_.drafting()) {
      head +=
          "<th scope=\"col\" class=\"n ratio\">ratio</th><th scope=\"col\" class=\"n\">tokens a "
          "pass</th><th scope=\"col\" class=\"n\">accepted</th><th scope=\"col\" "
          "class=\"ids\">same ids</th>";
    }
    return head + "</tr>\n";
  }

  std::string row(const BenchRow& row, const std::string& text, size_t number_of) const {
    const std::string name =
        (row.kind.empty() ? "" : fmt::format("<small>{}</small> ", html_text_cut(row.kind, 40))) +
        fmt::format("<a href=\"#p{}\">{}</a>", number_of, short_label(text));
    return line("", name, bars(row.ar_speed, row.speed, most_), row.ratio, row.tokens_per_forward,
                row.acceptance_length, !row.difference);
  }

  std::string total(const std::string& name, const BenchTotals& totals) const {
    return line(" class=\"total\"", html_text_cut(name, 80),
                bars(totals.ar_speed, totals.speed, most_), totals.ratio, totals.tokens_per_forward,
                totals.acceptance_length, totals.equal);
  }

 private:
  std::string line(std::string_view style, const std::string& name, const std::string& bars,
                   std::optional<double> ratio, std::optional<double> forward,
                   std::optional<double> accepted, bool equal) const {
    std::string line = fmt::format("<tr{}><th scope=\"row\">{}</th><td>{}</td>", style, name, bars);
    if (results_.drafting()) {
      line += fmt::format(
          "<td class=\"n ratio\">{}</td><td class=\"n more\">{}</td><td class=\"n more\">{}</td>"
          "<td class=\"{}\">{}</td>",
          number(ratio, 2), number(forward, 2), number(accepted, 2), equal ? "yes more" : "no",
          equal ? "yes" : "no");
    }
    return line + "</tr>\n";
  }

  const BenchResults& results_;
  double most_ = 0;
};

}  // namespace

std::string speed_section(const Content& content) {
  const BenchResults& results = content.results;
  const SpeedTable table(results);
  std::string html =
      "<section id=\"speed\"><h2>Speed</h2>\n<p>Of decoding, the prefill not "
      "counted: medians of the repetitions of each prompt.";
  if (results.drafting()) {
    html += fmt::format(
        " <span class=\"key\"><i class=\"plain\"></i>plain decoding</span> <span class=\"key\"><i "
        "class=\"mode\"></i>mode {}</span> A ratio is the median of those of neighbouring runs.",
        name_of(*results.drafting()));
  }
  html += "</p>\n<table class=\"speed\">\n<thead>" + table.head() + "</thead>\n<tbody>\n";
  const size_t shown = std::min(results.rows().size(), kMostRows);
  for (size_t i = 0; i < shown; ++i) {
    html += table.row(results.rows()[i], content.prompts[i].text, i + 1);
  }
  html += "</tbody>\n<tbody class=\"totals\">\n";
  for (const auto& [kind, totals] : results.totals_by_kind()) {
    html += table.total(fmt::format("{}: {}", kind, counted(totals.prompts, "prompt")), totals);
  }
  html += table.total("all prompts", results.totals()) + "</tbody>\n</table>\n";
  if (shown < results.rows().size()) {
    html += fmt::format("<p class=\"note\">The first {} of {} prompts; totals are of all.</p>\n",
                        shown, results.rows().size());
  }
  return html +
         "<p class=\"note\">Of several prompts: medians of speeds, the geometric mean of ratios, "
         "means of the rest.</p>\n</section>\n";
}

}  // namespace orthrus::cli::bench_page
