#include "cli/bench_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <new>

#include "base/median.h"
#include "cli/output.h"
#include "cli/roofline_passes.h"
#include "cli/text.h"
#include "cli/whole_file.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

// Those of plain steps, of verifying and of drafting, behind as many positions as texts had in the
// middle.
std::vector<PassShape> passes_for(const Engine& engine, int context) {
  const ModelConfig& config = engine.config();
  std::vector<int> rows = {1, 2, 4, 8, 16};
  if (config.block_size > 16) rows.push_back(std::min(config.block_size, kMostVerified));
  context = std::clamp(context, 0, config.max_position_embeddings - rows.back());
  return passes_of(config, engine.device(), {.rows = rows, .contexts = std::vector{context}});
}

}  // namespace

BenchReport::BenchReport(std::filesystem::path file) : file_(std::move(file)) {
  check_whole_file(file_);
}

void BenchReport::write(const Engine& engine, const BenchResults& results, std::string model,
                        std::vector<std::pair<std::string, std::string>> facts, size_t asked,
                        std::vector<double> prompt_tokens, const Interrupt& interrupt) {
  bench_page::Content content{.model = std::move(model),
                              .facts = std::move(facts),
                              .asked = asked,
                              .results = results,
                              .prompts = prompts_,
                              .totals = totals_,
                              .tokenizer = engine.tokenizer(),
                              .roofline = {},
                              .no_roofline = "the run was interrupted."};
  if (!interrupt.requested()) {
    constexpr int kRounds = 3;
    std::vector<double> generated;
    for (const BenchRow& row : results.rows()) generated.push_back(row.tokens);
    const double context = median(std::move(prompt_tokens)) + median(std::move(generated)) / 2;
    try {
      const Roofline roofline = engine.measure(passes_for(engine, static_cast<int>(context)),
                                               kRounds, [&] { return interrupt.requested(); });
      if (!roofline.passes.empty()) content.roofline = roofline;
    } catch (const Error& error) {  // of memory, mostly
      content.no_roofline = error.what();
    } catch (const std::bad_alloc&) {
      content.no_roofline = "there was not enough memory.";
    }
  }
  write_whole_file(file_, bench_page::page(content), Readers::kUsual);
  write_error_stream(fmt::format("report: {}\n", without_controls(file_.string())));
}

}  // namespace orthrus::cli
