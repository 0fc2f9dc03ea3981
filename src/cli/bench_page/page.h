// The page of `orthrus bench --report`: what people would rather see than read. One file of HTML
// with its style and its pictures, without scripts, that loads nothing.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/bench_record.h"
#include "cli/bench_results.h"
#include "orthrus/engine.h"

namespace orthrus::cli::bench_page {

// What is shown of a prompt beside its row in the results: its last repetition.
struct Prompt {
  std::string text;  // as it was asked
  BenchRun plain;    // AR decoding
  BenchRun drafted;  // the other mode; no cycles where there is none
};

struct Content {
  std::string model;                                       // its name
  std::vector<std::pair<std::string, std::string>> facts;  // how it was run: label and value
  size_t asked = 0;  // prompts that were to run; fewer did when interrupted
  const BenchResults& results;
  const std::vector<Prompt>& prompts;  // of the rows of the results
  const CycleTotals& totals;           // of all repetitions of them
  const Tokenizer* tokenizer;          // null: ids are shown
  std::optional<Roofline> roofline;    // or
  std::string no_roofline;             // why there is none
};

// Pages stay of a reasonable size: rows and texts beyond these are left out, and the page says so.
inline constexpr size_t kMostRows = 500;
inline constexpr size_t kMostTokens = 40'000;  // of all texts

// All text in it may be anything.
std::string page(const Content& content);

}  // namespace orthrus::cli::bench_page
