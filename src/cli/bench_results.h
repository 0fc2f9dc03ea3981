// What `orthrus bench` measured, and the table and JSON of it.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "orthrus/engine.h"

namespace orthrus::cli {

// One prompt. Speeds are tokens a second; what only the mode that drafts has is none without one.
struct BenchRow {
  std::string label, kind;
  int tokens = 0;
  double ar_speed = 0;
  std::optional<double> speed, ratio, tokens_per_forward, acceptance_length;
  std::optional<std::string> difference;  // the first that was seen
};

// What the mode that drafts decided, in all repetitions of all prompts.
class Decisions {
 public:
  void add(const GenerationStats& stats);

  std::string in_words(double gain) const;  // lines, or nothing where nothing was decided
  nlohmann::ordered_json in_json(std::optional<double> gain) const;

 private:
  int cycles() const;
  double expected_gain(double gain) const;

  std::vector<int> drafted_;   // [d]: cycles of d drafts; [0]: plain steps
  std::vector<int> verified_;  // [n]: of the cycles with drafts, those that verified n
  std::vector<int> leftover_;  // [n]: cycles that verified n drafts of an earlier block
  std::vector<int> lookup_;    // [n]: cycles that verified n drafts of the text itself
  double expected_accepted_ = 0;
  int accepted_ = 0;
};

// Over prompts: medians of speeds, the geometric mean of ratios, means of the rest.
struct BenchTotals {
  size_t prompts = 0;
  double ar_speed = 0;
  std::optional<double> speed, ratio, tokens_per_forward, acceptance_length;
  bool equal = true;
};

class BenchResults {
 public:
  // `drafting`: the mode that AR is compared with, if there is one. `kinds`: whether prompts have
  // one. `columns`: that a line of the table may have.
  BenchResults(std::optional<Mode> drafting, bool kinds, int columns);

  void add(BenchRow row) { rows_.push_back(std::move(row)); }
  Decisions& decisions() { return decisions_; }
  const Decisions& decisions() const { return decisions_; }
  bool all_equal() const;

  std::optional<Mode> drafting() const { return drafting_; }
  const std::vector<BenchRow>& rows() const { return rows_; }
  BenchTotals totals() const;
  std::vector<std::pair<std::string, BenchTotals>> totals_by_kind() const;
  const BenchRow* worst() const;  // by ratio; null where there are none

  // The table: a header, a row for each prompt, and in the end the rows of kinds and of all.
  std::string header() const;
  std::string in_words(const BenchRow& row) const;
  std::string totals_in_words() const;

  // Adds "prompts" and what follows them to `json`.
  void add_to(nlohmann::ordered_json& json) const;

 private:
  static BenchTotals totals(const std::vector<const BenchRow*>& rows);

  std::string line(const std::string& label, const std::string& kind, const std::string& tokens,
                   const BenchTotals& numbers) const;
  static nlohmann::ordered_json to_json(const BenchTotals& all);

  std::optional<Mode> drafting_;
  bool kinds_;
  size_t label_width_;
  std::vector<BenchRow> rows_;
  Decisions decisions_;
};

}  // namespace orthrus::cli
