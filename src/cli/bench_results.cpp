#include "cli/bench_results.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/median.h"
#include "cli/text.h"

namespace orthrus::cli {
namespace {

void add_counts(std::vector<int>& to, const std::vector<int>& counts) {
  to.resize(std::max(to.size(), counts.size()));
  for (size_t i = 0; i < counts.size(); ++i) to[i] += counts[i];
}

// "0: 12, 3: 40", what did not occur left out.
std::string histogram(const std::vector<int>& counts, size_t first) {
  std::string text;
  for (size_t i = first; i < counts.size(); ++i) {
    if (counts[i] > 0) text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", i, counts[i]);
  }
  return text.empty() ? "none" : text;
}

std::string cut(const std::string& text, size_t most) {
  return text.size() > most ? text.substr(0, most - 3) + "..." : text;
}

nlohmann::ordered_json or_null(const auto& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

}  // namespace

void Decisions::add(const GenerationStats& stats) {
  add_counts(drafted_, stats.drafted);
  add_counts(verified_, stats.verified);
  add_counts(leftover_, stats.leftover);
  add_counts(lookup_, stats.lookup);
  expected_accepted_ += stats.expected_accepted;
  accepted_ += stats.accepted;
}

int Decisions::cycles() const {
  int cycles = 0;
  for (const std::vector<int>* counts : {&drafted_, &leftover_, &lookup_}) {
    cycles += std::accumulate(counts->begin(), counts->end(), 0);
  }
  return cycles;
}

// The gain over plain decoding, had drafts been accepted as often as was expected: each cycle gives
// a token more than it accepts.
double Decisions::expected_gain(double gain) const {
  return gain * (cycles() + expected_accepted_) / (cycles() + accepted_);
}

std::string Decisions::in_words(double gain) const {
  if (cycles() == 0) return {};
  std::string text = fmt::format("plain steps              {:.0f} % of {}\n",
                                 100.0 * drafted_[0] / cycles(), counted(cycles(), "cycle"));
  text += fmt::format("drafts made: cycles      {}\n", histogram(drafted_, 1));
  text += fmt::format("drafts verified: cycles  {}\n", histogram(verified_, 0));
  text += fmt::format("leftover verified        {}\n", histogram(leftover_, 1));
  text += fmt::format("lookup verified          {}\n", histogram(lookup_, 1));
  if (expected_accepted_ > 0) {
    text += fmt::format("drafts accepted          {}, {:.0f} expected\n", accepted_,
                        expected_accepted_);
    text += fmt::format("gain over plain decoding {:.3f}, {:.3f} expected\n", gain,
                        expected_gain(gain));
  }
  return text;
}

nlohmann::ordered_json Decisions::in_json(std::optional<double> gain) const {
  nlohmann::ordered_json json = {{"drafted", drafted_},
                                 {"verified", verified_},
                                 {"leftover", leftover_},
                                 {"lookup", lookup_},
                                 {"expected_accepted", expected_accepted_},
                                 {"accepted", accepted_}};
  json["expected_gain"] = gain && cycles() > 0 && expected_accepted_ > 0
                              ? nlohmann::ordered_json(expected_gain(*gain))
                              : nlohmann::ordered_json();
  return json;
}

BenchResults::BenchResults(std::optional<Mode> drafting, bool kinds, int columns)
    : drafting_(drafting), kinds_(kinds) {
  const int others = 16 + (kinds ? 7 : 0) + (drafting ? 38 : 0);
  label_width_ = static_cast<size_t>(std::clamp(columns - others, 16, 32));
}

bool BenchResults::all_equal() const {
  return std::none_of(rows_.begin(), rows_.end(),
                      [](const BenchRow& row) { return row.difference.has_value(); });
}

BenchTotals BenchResults::totals(const std::vector<const BenchRow*>& rows) {
  std::vector<double> ar_speeds, speeds, logs, forwards, lengths;
  BenchTotals all;
  for (const BenchRow* row : rows) {
    ar_speeds.push_back(row->ar_speed);
    if (row->speed) speeds.push_back(*row->speed);
    if (row->ratio) logs.push_back(std::log(*row->ratio));
    if (row->tokens_per_forward) forwards.push_back(*row->tokens_per_forward);
    if (row->acceptance_length) lengths.push_back(*row->acceptance_length);
    all.equal = all.equal && !row->difference;
  }
  const auto mean = [](const std::vector<double>& values) -> std::optional<double> {
    if (values.empty()) return std::nullopt;
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  all.prompts = rows.size();
  if (!ar_speeds.empty()) all.ar_speed = median(ar_speeds);
  if (!speeds.empty()) all.speed = median(speeds);
  if (const auto log = mean(logs)) all.ratio = std::exp(*log);
  all.tokens_per_forward = mean(forwards);
  all.acceptance_length = mean(lengths);
  return all;
}

BenchTotals BenchResults::totals() const {
  std::vector<const BenchRow*> rows;
  for (const BenchRow& row : rows_) rows.push_back(&row);
  return totals(rows);
}

std::vector<std::pair<std::string, BenchTotals>> BenchResults::totals_by_kind() const {
  std::vector<std::string> kinds;  // as they first appear
  for (const BenchRow& row : rows_) {
    const bool known = std::find(kinds.begin(), kinds.end(), row.kind) != kinds.end();
    if (!row.kind.empty() && !known) kinds.push_back(row.kind);
  }
  std::vector<std::pair<std::string, BenchTotals>> by_kind;
  for (const std::string& kind : kinds) {
    std::vector<const BenchRow*> rows;
    for (const BenchRow& row : rows_) {
      if (row.kind == kind) rows.push_back(&row);
    }
    by_kind.emplace_back(kind, totals(rows));
  }
  return by_kind;
}

const BenchRow* BenchResults::worst() const {
  const BenchRow* worst = nullptr;
  for (const BenchRow& row : rows_) {
    if (row.ratio && (!worst || *row.ratio < *worst->ratio)) worst = &row;
  }
  return worst;
}

std::string BenchResults::header() const {
  std::string text = fmt::format("{:<{}}", "prompt", label_width_);
  if (kinds_) text += fmt::format("{:<7}", "kind");
  text += fmt::format("{:>7}{:>9}", "tokens", "AR tok/s");
  if (drafting_) {
    text += fmt::format("{:>11}{:>6}{:>6}{:>9}{:>6}", fmt::format("{} tok/s", name_of(*drafting_)),
                        "ratio", "TPF", "accepted", "equal");
  }
  return text + "\n";
}

std::string BenchResults::line(const std::string& label, const std::string& kind,
                               const std::string& tokens, const BenchTotals& numbers) const {
  const auto number = [](std::optional<double> value, int digits) {
    return value ? fmt::format("{:.{}f}", *value, digits) : std::string("-");
  };
  std::string text = fmt::format("{:<{}}", cut(label, label_width_ - 1), label_width_);
  if (kinds_) text += fmt::format("{:<7}", cut(escaped(kind), 6));
  text += fmt::format("{:>7}{:>9.1f}", tokens, numbers.ar_speed);
  if (drafting_) {
    text += fmt::format("{:>11}{:>6}{:>6}{:>9}{:>6}", number(numbers.speed, 1),
                        number(numbers.ratio, 2), number(numbers.tokens_per_forward, 2),
                        number(numbers.acceptance_length, 2), numbers.equal ? "yes" : "no");
  }
  return text + "\n";
}

std::string BenchResults::in_words(const BenchRow& row) const {
  std::string text = line(row.label, row.kind, std::to_string(row.tokens), totals({&row}));
  if (row.difference) text += fmt::format("  {}\n", *row.difference);
  return text;
}

std::string BenchResults::totals_in_words() const {
  const BenchTotals all = totals();
  if (!all.ratio) return {};
  std::string text;
  for (const auto& [kind, of_kind] : totals_by_kind()) {
    const auto prompts = static_cast<int64_t>(of_kind.prompts);
    text += line(counted(prompts, "prompt"), kind, "", of_kind);
  }
  text += line("all", "", "", all);
  if (rows_.size() > 1) {
    text += fmt::format("worst ratio              {:.2f}: {}\n", *worst()->ratio,
                        cut(worst()->label, 48));
  }
  return text + decisions_.in_words(*all.ratio);
}

nlohmann::ordered_json BenchResults::to_json(const BenchTotals& all) {
  return {{"ar_tokens_per_second", all.ar_speed},
          {"tokens_per_second", or_null(all.speed)},
          {"geometric_mean_of_ratios", or_null(all.ratio)},
          {"tokens_per_forward", or_null(all.tokens_per_forward)},
          {"acceptance_length", or_null(all.acceptance_length)},
          {"equal", all.equal}};
}

void BenchResults::add_to(nlohmann::ordered_json& json) const {
  json["prompts"] = nlohmann::ordered_json::array();
  for (const BenchRow& row : rows_) {
    json["prompts"].push_back({{"prompt", row.label},
                               {"kind", row.kind},
                               {"tokens", row.tokens},
                               {"ar_tokens_per_second", row.ar_speed},
                               {"tokens_per_second", or_null(row.speed)},
                               {"ratio", or_null(row.ratio)},
                               {"tokens_per_forward", or_null(row.tokens_per_forward)},
                               {"acceptance_length", or_null(row.acceptance_length)},
                               {"equal", !row.difference},
                               {"difference", or_null(row.difference)}});
  }
  json["kinds"] = nlohmann::ordered_json::object();
  for (const auto& [kind, of_kind] : totals_by_kind()) json["kinds"][kind] = to_json(of_kind);
  const BenchTotals all = totals();
  json.update(to_json(all));
  json["worst_ratio"] =
      worst() ? nlohmann::ordered_json(*worst()->ratio) : nlohmann::ordered_json();
  json["decisions"] = decisions_.in_json(all.ratio);
}

}  // namespace orthrus::cli
