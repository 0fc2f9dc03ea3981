// Passes against what the machine gives.
#include <fmt/core.h>

#include <algorithm>

#include "cli/bench_page/charts.h"
#include "cli/bench_page/html.h"
#include "cli/bench_page/sections.h"
#include "cli/roofline_report.h"
#include "cli/text.h"

namespace orthrus::cli::bench_page {
namespace {

std::string words_for(const PassShape& shape) {
  return fmt::format("{} pass of {}", shape.kind == PassKind::kDraft ? "draft" : "AR",
                     counted(shape.rows, "row"));
}

std::string chart_of(const Roofline& roofline) {
  RoofChart chart{.title =
                      "Operations a second of passes, over operations a byte, under what the "
                      "machine's memory and arithmetic allow",
                  .bytes = roofline.machine.bytes,
                  .roofs = {},
                  .points = {}};
  for (const PassMeasurement& pass : roofline.passes) {
    PassMeasurement of_machine = pass;
    of_machine.machine = roofline.machine;
    if (const auto rate = rate_of(of_machine);
        rate && std::ranges::find(chart.roofs, *rate) == chart.roofs.end()) {
      chart.roofs.push_back(*rate);
    }
    chart.points.push_back(
        {.label = std::to_string(pass.shape.rows),
         .note = fmt::format("{}: {:.3f} ms", words_for(pass.shape), pass.seconds * 1e3),
         .intensity = pass.flops / pass.bytes,
         .flops = pass.flops / pass.seconds,
         .draft = pass.shape.kind == PassKind::kDraft});
  }
  return in_svg(chart);
}

std::string table_of(const Roofline& roofline) {
  std::string html =
      "<div class=\"wide\"><table class=\"numbers\">\n<thead><tr><th scope=\"col\">pass</th><th "
      "scope=\"col\">weights</th><th scope=\"col\" class=\"n\">rows</th><th scope=\"col\" "
      "class=\"n\">ms</th><th scope=\"col\" class=\"n\">GB/s</th><th scope=\"col\" class=\"n\">of "
      "memory</th><th scope=\"col\" class=\"n\">GFLOP/s</th><th scope=\"col\" class=\"n\">of "
      "arithmetic</th></tr></thead>\n<tbody>\n";
  for (const PassMeasurement& pass : roofline.passes) {
    const PassShare share(pass);
    html += fmt::format(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td "
        "class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "</tr>\n",
        name_of(pass.shape.kind), name_of(pass.weights), pass.shape.rows,
        number(pass.seconds * 1e3, 3), number(pass.bytes / pass.seconds * 1e-9, 1),
        number(share.bytes, 2), number(pass.flops / pass.seconds * 1e-9, 1),
        number(share.flops, 2));
  }
  return html + "</tbody>\n</table></div>\n";
}

}  // namespace

std::string roofline_section(const Content& content) {
  std::string html = "<section id=\"roofline\"><h2>Passes against the machine</h2>\n";
  if (!content.roofline || content.roofline->passes.empty()) {
    return html +
           fmt::format("<p>Not measured: {}</p>\n</section>\n", html_text(content.no_roofline));
  }
  const Roofline& roofline = *content.roofline;
  html += fmt::format(
      "<p>Measured after the prompts, behind {}. A pass reads all weights whatever its "
      "rows are: until arithmetic is short, further rows, which is what drafts are, are nearly "
      "free. The roof is what the machine gave meanwhile; a point on it could not be faster.</p>\n",
      counted(roofline.passes.front().shape.context, "position"));
  html +=
      figure("Each pass, with its rows", chart_of(roofline),
             "<p class=\"note\"><span class=\"key\"><i class=\"ink round\"></i>AR passes: plain "
             "steps and verifying</span> <span class=\"key\"><i class=\"block "
             "tilted\"></i>draft passes</span></p>\n");
  return html + table_of(roofline) +
         "<p class=\"note\">Shares are of what the machine gave just before each pass. Above 1 of "
         "the memory&#8217;s rate, weights came from caches.</p>\n</section>\n";
}

}  // namespace orthrus::cli::bench_page
