// The texts, with the tokens of each cycle to be seen, and the passes over time.
#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "cli/bench_page/html.h"
#include "cli/bench_page/sections.h"
#include "cli/text.h"

namespace orthrus::cli::bench_page {
namespace {

constexpr size_t kMostOpen = 3;  // further texts are folded

// The text of ids one after the other. What a token leaves open within a character comes with the
// one that completes it.
class TokenTexts {
 public:
  explicit TokenTexts(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {
    if (tokenizer != nullptr) stream_.emplace(*tokenizer);
  }

  // In an element of this name.
  std::string put(int32_t id, std::string_view element) {
    if (!stream_) return fmt::format("<{0}>{1} </{0}>", element, id);
    std::string text = html_text(stream_->put(id));
    std::string_view style;
    if (tokenizer_->is_special(id)) {
      style = " class=\"special\"";
    } else if (text.find('\n') != std::string::npos) {
      style = " class=\"line\"";
    } else if (text.empty()) {
      style = " class=\"part\"";
    }
    return fmt::format("<{0}{1}>{2}</{0}>", element, style, text);
  }
  std::string finish() { return stream_ ? html_text(stream_->finish()) : ""; }

 private:
  const Tokenizer* tokenizer_;
  std::optional<StreamDecoder> stream_;
};

std::string words_of(const BenchCycle& cycle) {
  std::string words;
  switch (cycle.source) {
    case DraftSource::kNone:
      return "plain step";
    case DraftSource::kBlock:
    case DraftSource::kTree:
      words = fmt::format("{} of {}: {} verified",
                          cycle.source == DraftSource::kBlock ? "block" : "tree", cycle.made,
                          cycle.verified);
      break;
    case DraftSource::kLeftover:
      words = fmt::format("{} leftover verified", cycle.verified);
      break;
    case DraftSource::kLookup:
      words = fmt::format("{} of a lookup verified", cycle.verified);
      break;
  }
  return words + fmt::format(", {} accepted; {}, {:.1f} ms", cycle.accepted,
                             counted(cycle.tokens, "token"), cycle.seconds * 1e3);
}

// Accepted drafts in the colour of their source, what the AR view chose itself without one.
std::string picture_of(const BenchRun& run, const Tokenizer* tokenizer, size_t most) {
  TokenTexts texts(tokenizer);
  std::string html = "<div class=\"text\" dir=\"ltr\">";
  size_t at = 0;
  for (const BenchCycle& cycle : run.cycles) {
    if (at + static_cast<size_t>(cycle.tokens) > most) break;
    const bool drafts = cycle.source != DraftSource::kNone;
    if (drafts) {
      html += fmt::format("<b class=\"{}\" title=\"{}\">", class_of(cycle.source), words_of(cycle));
    }
    for (int i = 0; i < cycle.tokens; ++i) {
      html += texts.put(run.ids[at++], i < cycle.accepted ? "i" : "u");
    }
    if (drafts) html += "</b>";
  }
  html += texts.finish();
  if (at < run.ids.size()) {
    html +=
        fmt::format("<em class=\"cut\">... {}</em>", counted(run.ids.size() - at, "more token"));
  }
  return html + "</div>\n";
}

// Rectangles from the base line, a cycle's as wide as it took and as high as the tokens it gave.
class Skyline {
 public:
  Skyline(const Prompt& prompt, std::string title) : prompt_(prompt), title_(std::move(title)) {
    seconds_ = std::max(prompt.plain.seconds(), prompt.drafted.seconds());
    for (const BenchCycle& cycle : prompt.drafted.cycles) most_ = std::max(most_, cycle.tokens);
    height_ = (most_ + 1.6) * kToken;
  }

  std::string in_svg() const {
    if (seconds_ <= 0) return {};
    std::string svg = fmt::format(
        "<svg class=\"skyline\" viewBox=\"0 0 {:g} {:.1f}\" preserveAspectRatio=\"none\" "
        "role=\"img\" aria-label=\"{}\"><title>{}</title>\n",
        kWidth, height_, title_, title_);
    for (const DraftSource source : kDraftSources) {
      svg += path(prompt_.drafted, class_of(source), 1,
                  [&](const BenchCycle& cycle) { return cycle.source == source; });
    }
    svg += path(prompt_.plain, "plain faint", -1, [](const BenchCycle&) { return true; });
    return svg + "</svg>\n";
  }

 private:
  static constexpr double kWidth = 1000, kToken = 10;

  template <typename Wanted>
  std::string path(const BenchRun& run, std::string_view style, int direction,
                   Wanted wanted) const {
    const double base = most_ * kToken + (direction < 0 ? 2 : 0);
    std::string d;
    double time = 0;
    for (const BenchCycle& cycle : run.cycles) {
      const double x = time / seconds_ * kWidth, width = cycle.seconds / seconds_ * kWidth;
      time += cycle.seconds;
      if (width <= 0 || !wanted(cycle)) continue;
      d += fmt::format("M{:.1f} {:.1f}h{:.1f}v{:.1f}h{:.1f}z", x, base, width * 0.86,
                       -direction * cycle.tokens * kToken, -width * 0.86);
    }
    return d.empty() ? d : fmt::format("<path class=\"{}\" d=\"{}\"/>\n", style, d);
  }

  const Prompt& prompt_;
  std::string title_;
  double seconds_ = 0, height_ = 0;
  int most_ = 1;
};

std::string time_in_words(double seconds) {
  return seconds < 1 ? fmt::format("{:.0f} ms", seconds * 1e3) : fmt::format("{:.2f} s", seconds);
}

std::string facts_of(const BenchRow& row, const Prompt& prompt, std::optional<Mode> mode) {
  if (!mode) {
    return fmt::format("{}, {}", counted(std::ssize(prompt.plain.ids), "token"),
                       time_in_words(prompt.plain.seconds()));
  }
  std::string text = fmt::format("{} in {}", counted(std::ssize(prompt.drafted.ids), "token"),
                                 counted(std::ssize(prompt.drafted.cycles) - 1, "cycle"));
  if (row.tokens_per_forward) text += fmt::format(", {:.2f} a pass", *row.tokens_per_forward);
  if (row.ratio) text += fmt::format("; {:.2f} times as fast as plain decoding", *row.ratio);
  return text;
}

std::string article(const Content& content, size_t i, size_t most_tokens, bool open) {
  const BenchRow& row = content.results.rows()[i];
  const Prompt& prompt = content.prompts[i];
  const std::optional<Mode> mode = content.results.drafting();
  const bool drafts = !prompt.drafted.cycles.empty();
  std::string html = fmt::format(
      "<details class=\"answer\"{}><summary><span class=\"asked\">{}</span> <small>{}"
      "</small></summary>\n<div id=\"p{}\">\n",
      open ? " open=\"open\"" : "", short_label(prompt.text), facts_of(row, prompt, mode), i + 1);
  if (row.difference) {
    html += fmt::format("<p class=\"no\">Not the ids of plain decoding: {}</p>\n",
                        html_text(*row.difference));
  }
  html += fmt::format(
      "<details class=\"prompt\"><summary>The prompt</summary><div class=\"text\" dir=\"ltr\">{}"
      "</div></details>\n",
      html_text_cut(prompt.text, 4000));
  if (drafts) {
    const std::string title =
        fmt::format("Passes over time: mode {} took {}, plain decoding {}", name_of(*mode),
                    time_in_words(prompt.drafted.seconds()), time_in_words(prompt.plain.seconds()));
    html += fmt::format(
        "<figure class=\"passes\">{}<figcaption>{}: each column is a cycle, as wide as it took and "
        "as high as the tokens it gave; plain decoding hangs below.</figcaption></figure>\n",
        Skyline(prompt, title).in_svg(), title);
  }
  return html + picture_of(drafts ? prompt.drafted : prompt.plain, content.tokenizer, most_tokens) +
         "</div></details>\n";
}

std::string legend(const CycleTotals& totals) {
  std::string html = "<p class=\"legend\">";
  for (const DraftSource source : kDraftSources) {
    if (source == DraftSource::kNone || totals.of(source).cycles == 0) continue;
    html += fmt::format("<b class=\"{}\"><i>{}</i></b> ", class_of(source), words_for(source));
  }
  return html + "<u>chosen by the model itself</u></p>\n";
}

}  // namespace

std::string texts_section(const Content& content) {
  std::string html = "<section id=\"texts\"><h2>What each pass gave</h2>\n";
  if (content.results.drafting()) {
    html +=
        "<p>The text of the last repetition. Drafts that were accepted are coloured by where they "
        "came from; each cycle ends with a token that the model chose itself, which has no "
        "colour. Pointing at a cycle tells about it.</p>\n" +
        legend(content.totals);
  }
  size_t left = kMostTokens, shown = 0;
  const size_t count = std::min(content.prompts.size(), kMostRows);
  for (; shown < count && left > 0; ++shown) {
    const Prompt& prompt = content.prompts[shown];
    const BenchRun& run = prompt.drafted.cycles.empty() ? prompt.plain : prompt.drafted;
    html += article(content, shown, left, shown < kMostOpen);
    left -= std::min(left, run.ids.size());
  }
  if (shown < content.prompts.size()) {
    html += fmt::format("<p class=\"note\">The texts of the first {} of {} prompts.</p>\n", shown,
                        content.prompts.size());
  }
  return html + "</section>\n";
}

}  // namespace orthrus::cli::bench_page
