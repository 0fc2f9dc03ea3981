// What was drafted, out of what, and what became of it.
#include <fmt/core.h>

#include <algorithm>

#include "cli/bench_page/charts.h"
#include "cli/bench_page/html.h"
#include "cli/bench_page/sections.h"
#include "cli/text.h"

namespace orthrus::cli::bench_page {
namespace {

double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

// One bar of all, each source with its share.
std::string share_bar(const CycleTotals& totals, std::string_view what,
                      double (*value)(const SourceTotals&)) {
  const double whole = value(totals.all());
  std::string parts, words;
  for (const DraftSource source : kDraftSources) {
    const double part = share(value(totals.of(source)), whole);
    if (part <= 0) continue;
    parts +=
        fmt::format("<span class=\"{}\" style=\"width:{:.2f}%\" title=\"{}: {:.1f} %\"></span>",
                    class_of(source), 100 * part, words_for(source), 100 * part);
    words += fmt::format("{}{} {:.0f} %", words.empty() ? "" : ", ", words_for(source), 100 * part);
  }
  return fmt::format(
      "<div class=\"share\"><span>{}</span><div class=\"stack\" role=\"img\" "
      "aria-label=\"{}: {}\">{}</div></div>\n",
      what, what, words, parts);
}

std::string table_of_sources(const CycleTotals& totals) {
  std::string html =
      "<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th scope=\"col\">drafts "
      "from</th><th scope=\"col\" class=\"n\">cycles</th><th scope=\"col\" class=\"n\">drafted</th>"
      "<th scope=\"col\" class=\"n\">verified</th><th scope=\"col\" class=\"n\">accepted</th><th "
      "scope=\"col\" class=\"n\">tokens</th><th scope=\"col\" class=\"n\">tokens a cycle</th><th "
      "scope=\"col\" class=\"n\">ms a cycle</th></tr></thead>\n<tbody>\n";
  const auto row = [&](const std::string& name, const SourceTotals& of) {
    if (of.cycles == 0) return;
    const auto cycles = static_cast<double>(of.cycles);
    html += fmt::format(
        "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td class=\"n\">{}</td></tr>\n",
        name, with_commas(of.cycles), with_commas(of.made), with_commas(of.verified),
        with_commas(of.accepted), with_commas(of.tokens),
        number(static_cast<double>(of.tokens) / cycles, 2), number(of.seconds * 1e3 / cycles, 2));
  };
  for (const DraftSource source : kDraftSources) {
    row(fmt::format("<span class=\"key\"><i class=\"{}\"></i>{}</span>", class_of(source),
                    words_for(source)),
        totals.of(source));
  }
  row("all", totals.all());
  return html + "</tbody>\n</table></div>\n";
}

// Of each source, how many cycles had n of something.
std::string histogram(const CycleTotals& totals, const std::string& title,
                      const std::string& x_axis, size_t first,
                      const std::vector<int>& (*counts)(const SourceTotals&)) {
  ColumnChart chart{.title = title, .classes = {}, .columns = {}, .x_axis = x_axis, .top = {}};
  size_t end = 0;
  for (const DraftSource source : kDraftSources) {
    chart.classes.emplace_back(class_of(source));
    end = std::max(end, counts(totals.of(source)).size());
  }
  for (size_t n = first; n < end; ++n) {
    ColumnChart::Column column{.label = std::to_string(n), .parts = {}, .note = {}};
    std::string words;
    for (const DraftSource source : kDraftSources) {
      const std::vector<int>& of = counts(totals.of(source));
      const int count = n < of.size() ? of[n] : 0;
      column.parts.push_back(count);
      if (count > 0) {
        words += fmt::format("{}{} of {}", words.empty() ? "" : ", ", count, words_for(source));
      }
    }
    column.note = fmt::format("{}: {}", n, words.empty() ? "none" : words);
    chart.columns.push_back(std::move(column));
  }
  return chart.columns.empty() ? std::string() : figure(title, in_svg(chart));
}

std::string percent(double share) {
  return fmt::format("{:.0f} %", 100 * share);
}

// Ranks of a tree's accepted drafts that have a colour of their own; further ones share the last.
constexpr size_t kRanks = 4;

ColumnChart::Column column_of(const SourceTotals::Place& place, size_t i, bool tree) {
  constexpr int kFew = 5;
  ColumnChart::Column column{
      .label = std::to_string(i + 1),
      .parts = {},
      .note = fmt::format("place {}: {} of {} accepted, {}", i + 1, place.accepted, place.judged,
                          percent(share(place.accepted, place.judged))),
      .faint = place.judged < kFew};
  if (!tree) {
    column.parts.push_back(share(place.accepted, place.judged));
    return column;
  }
  column.parts.resize(kRanks);
  for (size_t rank = 0; rank < place.ranks.size(); ++rank) {
    column.parts[std::min(rank, kRanks - 1)] += share(place.ranks[rank], place.judged);
    if (place.ranks[rank] > 0)
      column.note += fmt::format("; rank {}: {}", rank + 1, place.ranks[rank]);
  }
  return column;
}

std::string places_table(const SourceTotals& of) {
  std::string html =
      "<details><summary>Numbers</summary><table class=\"numbers\"><thead><tr><th scope=\"col\" "
      "class=\"n\">place</th><th scope=\"col\" class=\"n\">compared</th><th scope=\"col\" "
      "class=\"n\">accepted</th></tr></thead><tbody>\n";
  for (size_t i = 0; i < of.places.size(); ++i) {
    html += fmt::format(
        "<tr><th scope=\"row\" class=\"n\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "</tr>\n",
        i + 1, of.places[i].judged, of.places[i].accepted);
  }
  return html + "</tbody></table></details>\n";
}

std::string acceptance_of(const CycleTotals& totals, DraftSource source) {
  const SourceTotals& of = totals.of(source);
  if (of.places.empty()) return {};
  const bool tree = source == DraftSource::kTree;
  const std::string caption = fmt::format("{}: {} of {} verified were accepted", words_for(source),
                                          with_commas(of.accepted), with_commas(of.verified));
  ColumnChart chart{.title = fmt::format("Acceptance of {} by place", words_for(source)),
                    .classes = {std::string(class_of(source))},
                    .columns = {},
                    .x_axis = tree ? "depth in the tree" : "place in the block",
                    .top = 1,
                    .y_label = percent};
  if (source == DraftSource::kLeftover || source == DraftSource::kLookup) {
    chart.x_axis = "place behind the anchor";
  }
  if (tree) chart.classes = {"tree", "tree2", "tree3", "tree4"};
  for (size_t i = 0; i < of.places.size(); ++i) {
    chart.columns.push_back(column_of(of.places[i], i, tree));
  }
  const std::string ranks =
      !tree ? ""
            : "<p class=\"note\"><span class=\"key\"><i class=\"tree\"></i>the likeliest in its "
              "place</span> <span class=\"key\"><i class=\"tree2\"></i>the second</span> <span "
              "class=\"key\"><i class=\"tree3\"></i>the third</span> <span class=\"key\"><i "
              "class=\"tree4\"></i>further ones</span></p>\n";
  return figure(caption, in_svg(chart), ranks + places_table(of));
}

}  // namespace

std::string drafts_section(const Content& content) {
  if (!content.results.drafting()) return {};
  const CycleTotals& totals = content.totals;
  const SourceTotals all = totals.all();
  std::string html = fmt::format("<section id=\"drafts\"><h2>What mode {} chose</h2>\n",
                                 name_of(*content.results.drafting()));
  if (all.cycles == 0) {
    return html +
           "<p>Nothing: no text was longer than the token that the prefill gives.</p>\n"
           "</section>\n";
  }
  html += fmt::format(
      "<p>{}, in all repetitions. A cycle verifies drafts from one source in one pass, or "
      "is a plain step; a new block or tree takes a draft pass more. A tree may verify several "
      "drafts for each token drafted.</p>\n",
      all.cycles == 1 ? "1 cycle" : with_commas(all.cycles) + " cycles");
  html += share_bar(totals, "cycles",
                    [](const SourceTotals& of) { return static_cast<double>(of.cycles); });
  html += share_bar(totals, "time", [](const SourceTotals& of) { return of.seconds; });
  html += share_bar(totals, "tokens",
                    [](const SourceTotals& of) { return static_cast<double>(of.tokens); });
  html += table_of_sources(totals) + "<div class=\"figures\">\n";
  html += histogram(totals, "Cycles by the tokens that they gave", "tokens", 1,
                    [](const SourceTotals& of) -> const std::vector<int>& { return of.of_tokens; });
  html +=
      histogram(totals, "Cycles by the drafts that they verified", "drafts verified", 1,
                [](const SourceTotals& of) -> const std::vector<int>& { return of.of_verified; });
  html += histogram(totals, "Draft passes by their length", "tokens drafted", 1,
                    [](const SourceTotals& of) -> const std::vector<int>& { return of.of_made; });
  return html + "</div>\n</section>\n";
}

std::string acceptance_section(const Content& content) {
  if (content.totals.all().verified == 0) return {};
  std::string html =
      "<section id=\"acceptance\"><h2>Acceptance by place</h2>\n<p>Of the drafts that were "
      "compared "
      "with the model&#8217;s own choice, all before them being right: how many were it. Pale "
      "columns stand for fewer than five comparisons.</p>\n<div class=\"figures\">\n";
  for (const DraftSource source : kDraftSources) html += acceptance_of(content.totals, source);
  return html + "</div>\n</section>\n";
}

}  // namespace orthrus::cli::bench_page
