#include "cli/bench_page/page.h"

#include <fmt/core.h>

#include "cli/bench_page/html.h"
#include "cli/bench_page/sections.h"
#include "cli/bench_page/style.h"
#include "cli/text.h"

namespace orthrus::cli::bench_page {
namespace {

std::string tile(const std::string& value, const std::string& words, std::string_view style = {}) {
  return fmt::format("<li{}><strong>{}</strong><span>{}</span></li>\n", style, value, words);
}

std::string tiles(const BenchResults& results) {
  const BenchTotals all = results.totals();
  const std::optional<Mode> mode = results.drafting();
  std::string html = "<ul class=\"tiles\">\n";
  if (all.ratio) {
    html += tile(number(all.ratio, 2) + " &#215;",
                 results.rows().size() > 1
                     ? fmt::format("plain decoding; worst prompt {:.2f}", *results.worst()->ratio)
                     : "plain decoding",
                 " class=\"first\"");
  }
  if (all.speed) {
    html += tile(number(all.speed, 1), fmt::format("tokens/s in mode {}", name_of(*mode)));
  }
  html += tile(number(all.ar_speed, 1), "tokens/s of plain decoding");
  if (all.tokens_per_forward) html += tile(number(all.tokens_per_forward, 2), "tokens a pass");
  if (all.acceptance_length) {
    html += tile(number(all.acceptance_length, 2), "drafts accepted a cycle");
  }
  if (mode && !results.rows().empty()) {
    html += tile(results.all_equal() ? "yes" : "no", "same ids as plain decoding",
                 results.all_equal() ? " class=\"yes\"" : " class=\"no\"");
  }
  return html + "</ul>\n";
}

std::string lead(const Content& content) {
  const size_t count = content.results.rows().size();
  std::string text = content.results.drafting()
                         ? fmt::format("Decoding in mode {} beside plain AR decoding",
                                       name_of(*content.results.drafting()))
                         : "Plain AR decoding";
  text += ", " + counted(count, "prompt");
  if (count < content.asked) text += fmt::format(" of {}: the run was interrupted", content.asked);
  return text + ".";
}

std::string facts_section(const Content& content) {
  std::string html = "<section id=\"run\"><h2>How it was run</h2>\n<dl>\n";
  for (const auto& [label, value] : content.facts) {
    html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", html_text(label), html_text(value));
  }
  return html + "</dl>\n</section>\n";
}

std::string links(std::string_view sections) {
  constexpr std::pair<std::string_view, std::string_view> kLinks[] = {
      {"texts", "Texts"},           {"speed", "Speed"},      {"drafts", "Drafts"},
      {"acceptance", "Acceptance"}, {"roofline", "Machine"}, {"run", "Run"}};
  std::string html = "<nav aria-label=\"Sections\">";
  for (const auto& [id, name] : kLinks) {
    if (sections.find(fmt::format("<section id=\"{}\">", id)) == std::string_view::npos) continue;
    html += fmt::format("<a href=\"#{}\">{}</a> ", id, name);
  }
  return html + "</nav>\n";
}

}  // namespace

std::string page(const Content& content) {
  const std::string sections = texts_section(content) + speed_section(content) +
                               drafts_section(content) + acceptance_section(content) +
                               roofline_section(content) + facts_section(content);
  const std::string model = html_text(content.model);
  return fmt::format(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'\"/>\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
             "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
             "<title>orthrus bench: {}</title>\n<style>\n",
             model) +
         kStyle +
         fmt::format(
             "</style>\n</head>\n<body>\n<header>\n<p class=\"name\">orthrus bench</p>\n"
             "<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
             model, lead(content)) +
         tiles(content.results) + links(sections) + "</header>\n<main>\n" + sections +
         "</main>\n</body>\n</html>\n";
}

}  // namespace orthrus::cli::bench_page
