#include "cli/roofline.h"

#include <fmt/core.h>

#include <limits>

#include "cli/exit_code.h"
#include "cli/numbers.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/roofline_report.h"

namespace orthrus::cli {
namespace {

constexpr const char* kGroup = "Passes against the machine";

void add_list(CLI::App& app, CLI::Option* roofline, const std::string& name,
              std::optional<std::vector<int>>& list, int least, const std::string& description) {
  constexpr int kMost = std::numeric_limits<int>::max();
  const Range<int> range{least, kMost, fmt::format("a whole number from {} to {}", least, kMost)};
  app.add_option_function<std::string>(
         name,
         [&list, name, range](const std::string& text) {
           list = parse_numbers(name, text, range);
           if (list->empty()) {
             throw Error(ErrorKind::kUsage, fmt::format("{}: the list is empty.", name));
           }
         },
         description)
      ->type_name("N,N")
      ->needs(roofline)
      ->group(kGroup);
}

void check_acceptance(double acceptance, const std::vector<PassShape>& passes) {
  const int most = most_accepted(passes);
  if (most == 0) {
    throw Error(ErrorKind::kUsage,
                "--assume-acceptance is of drafts, and no pass of --rows drafts: that takes a "
                "diffusion view, and rows from 2 to its block size.");
  }
  if (acceptance > most) {
    throw Error(ErrorKind::kUsage, fmt::format("--assume-acceptance is {}; valid is 0 to {}, the "
                                               "drafts of the largest block at every context.",
                                               acceptance, most));
  }
}

}  // namespace

CLI::Option* RooflineOptions::add_to(CLI::App& app) {
  CLI::Option* const flag =
      app.add_flag("--roofline", wanted,
                   "Measure forward passes, and what the machine gives, in place of decoding")
          ->group(kGroup);
  add_list(
      app, flag, "--rows", lists.rows, 1,
      fmt::format("Rows of the passes to measure, and tokens of draft blocks; above {}, prompt "
                  "chunks. By default 1,2,4,8,16,32,256; on a CUDA device "
                  "1,2,4,8,16,32,64,128,2048; and the model's own block size",
                  kMostVerified));
  add_list(app, flag, "--context", lists.contexts, 0,
           "Positions that are in the cache before. By default 512; on a CUDA device "
           "512,4096,16384,32768");
  app.add_option_function<std::string>(
         "--assume-acceptance",
         [this](const std::string& text) {
           acceptance =
               parse_number("--assume-acceptance", text,
                            Range<double>{0, 1e6, "a number from 0 to the drafts of a block"});
         },
         "Say what tokens/s the cycles would give, were N drafts of each accepted")
      ->type_name("N")
      ->needs(flag)
      ->group(kGroup);
  return flag;
}

int run_roofline(const Engine& engine, nlohmann::ordered_json settings,
                 const RooflineOptions& options, int rounds, bool json,
                 const Interrupt& interrupt) {
  const std::vector<PassShape> passes = passes_of(engine.config(), engine.device(), options.lists);
  if (options.acceptance) check_acceptance(*options.acceptance, passes);
  const Roofline roofline = engine.measure(passes, rounds, [&] { return interrupt.requested(); });
  if (interrupt.requested()) return interrupt.exit_code();
  Output output;
  if (json) {
    add_roofline(settings, engine, roofline, options.acceptance);
    output.write(json_line(settings));
  } else {
    output.write(roofline_table(engine, settings["model"], roofline, options.acceptance));
  }
  return output.finish(kSuccess);
}

}  // namespace orthrus::cli
