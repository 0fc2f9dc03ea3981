// orthrus bench --report: collects what the page shows, and writes it.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cli/bench_page/page.h"
#include "cli/interrupt.h"

namespace orthrus::cli {

class BenchReport {
 public:
  // Throws Error(kFile) where `file` cannot be written.
  explicit BenchReport(std::filesystem::path file);

  // A repetition of the current prompt in the mode that drafts.
  void count(const BenchRun& drafted) { totals_.add(drafted); }
  // The current prompt is done: its text and its last repetition.
  void add(bench_page::Prompt prompt) { prompts_.push_back(std::move(prompt)); }

  // Measures passes that the prompts ran, until `interrupt`, and writes the page. `prompt_tokens`:
  // of the prompts, `facts` and `asked` as in Content. Throws Error(kFile).
  void write(const Engine& engine, const BenchResults& results, std::string model,
             std::vector<std::pair<std::string, std::string>> facts, size_t asked,
             std::vector<double> prompt_tokens, const Interrupt& interrupt);

 private:
  std::filesystem::path file_;
  std::vector<bench_page::Prompt> prompts_;
  CycleTotals totals_;
};

}  // namespace orthrus::cli
