#include "cli/roofline.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/exit_code.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/prompt_source.h"
#include "cli/report.h"
#include "cli/text.h"

namespace orthrus::cli {
namespace {

constexpr int kMostVerified = 64;  // passes of more rows are measured as chunks of a prompt

std::string_view name_of(PassKind kind) {
  switch (kind) {
    case PassKind::kAr:
      return "ar";
    case PassKind::kDraft:
      return "draft";
    case PassKind::kPrefill:
      return "prefill";
  }
  return "";
}

std::vector<PassShape> shapes_of(const Engine& engine, const RooflineOptions& options) {
  std::vector<PassShape> shapes;
  const TokenIds rows = parse_ids("--rows", options.rows);
  const auto add = [&](PassKind kind, bool wanted(int rows, int block)) {
    for (const int count : rows) {
      if (!wanted(count, engine.config().block_size)) continue;
      shapes.push_back({kind, count, options.context});
    }
  };
  add(PassKind::kAr, [](int count, int) { return count <= kMostVerified; });
  add(PassKind::kDraft, [](int count, int block) { return count >= 2 && count <= block; });
  add(PassKind::kPrefill, [](int count, int) { return count > kMostVerified; });
  return shapes;
}

double rate_of(const MachineRates& machine, DType weights) {
  switch (weights) {
    case DType::kBF16:
      return machine.pair_flops;
    case DType::kQ8_0:
      return machine.byte_flops;
    case DType::kF32:
    case DType::kF16:
      break;
  }
  return machine.flops;
}

// A measured pass against the machine.
struct Share {
  explicit Share(const PassMeasurement& pass)
      : bytes(pass.bytes / pass.seconds / pass.machine.bytes),
        flops(pass.flops / pass.seconds / rate_of(pass.machine, pass.weights)) {}
  double bytes, flops;                                        // of each rate
  double of_limit() const { return std::max(bytes, flops); }  // of what the nearer one allows
};

std::string table(const Engine& engine, const std::string& name, const Roofline& roofline) {
  const MachineRates& machine = roofline.machine;
  std::string text = fmt::format(
      "{}, {} weights, {} KV cache, {} threads\n\n"
      "memory read                 {:8.1f} GB/s\n"
      "float32 multiply-adds       {:8.1f} GFLOP/s\n"
      "BF16 multiply-adds          {:8.1f} GFLOP/s\n"
      "8-bit integer multiply-adds {:8.1f} GFLOP/s\n\n"
      "{:<9}{:<8}{:>6}{:>9}{:>11}{:>11}{:>9}{:>7}{:>10}{:>7}{:>10}\n",
      name, orthrus::name_of(engine.weights()), orthrus::name_of(engine.kv_cache()),
      engine.threads(), machine.bytes * 1e-9, machine.flops * 1e-9, machine.pair_flops * 1e-9,
      machine.byte_flops * 1e-9, "pass", "weights", "rows", "context", "ms", "rows/s", "GB/s",
      "share", "GFLOP/s", "share", "of limit");
  for (const PassMeasurement& pass : roofline.passes) {
    const Share share(pass);
    text += fmt::format(
        "{:<9}{:<8}{:>6}{:>9}{:>11.3f}{:>11.1f}{:>9.1f}{:>7.2f}{:>10.1f}{:>7.2f}{:>10.2f}\n",
        name_of(pass.shape.kind), orthrus::name_of(pass.weights), pass.shape.rows,
        pass.shape.context, pass.seconds * 1e3, pass.shape.rows / pass.seconds,
        pass.bytes / pass.seconds * 1e-9, share.bytes, pass.flops / pass.seconds * 1e-9,
        share.flops, share.of_limit());
  }
  return text +
         "\nMedians of rounds in which all was measured once, by turns; shares are of what the "
         "machine "
         "gave\njust before. Above 1 of the memory's rate, weights came from caches.\n";
}

nlohmann::ordered_json in_json(const Engine& engine, const std::string& name,
                               const Roofline& roofline) {
  nlohmann::ordered_json json = {{"model", name},
                                 {"weights", orthrus::name_of(engine.weights())},
                                 {"kv_cache", orthrus::name_of(engine.kv_cache())},
                                 {"threads", engine.threads()},
                                 {"bytes_per_second", roofline.machine.bytes},
                                 {"flops_per_second", roofline.machine.flops},
                                 {"bf16_flops_per_second", roofline.machine.pair_flops},
                                 {"byte_flops_per_second", roofline.machine.byte_flops},
                                 {"passes", nlohmann::ordered_json::array()}};
  for (const PassMeasurement& pass : roofline.passes) {
    const Share share(pass);
    json["passes"].push_back({{"pass", name_of(pass.shape.kind)},
                              {"weights", orthrus::name_of(pass.weights)},
                              {"rows", pass.shape.rows},
                              {"context", pass.shape.context},
                              {"seconds", pass.seconds},
                              {"bytes", pass.bytes},
                              {"flops", pass.flops},
                              {"share_of_bytes", share.bytes},
                              {"share_of_flops", share.flops},
                              {"share_of_limit", share.of_limit()}});
  }
  return json;
}

}  // namespace

CLI::Option* RooflineOptions::add_to(CLI::App& app) {
  constexpr const char* kGroup = "Passes against the machine";
  CLI::Option* const flag =
      app.add_flag("--roofline", wanted,
                   "Measure forward passes, and what the machine gives, in place of decoding")
          ->group(kGroup);
  app.add_option(
         "--rows", rows,
         fmt::format("Rows of the passes to measure; above {}, prompt chunks", kMostVerified))
      ->type_name("N,N")
      ->default_str(rows)
      ->group(kGroup);
  add_count(app, "--context", context, "Positions that are in the cache before")->group(kGroup);
  return flag;
}

int run_roofline(const Engine& engine, const std::string& name, const RooflineOptions& options,
                 int rounds, bool json) {
  const Roofline roofline = engine.measure(shapes_of(engine, options), rounds);
  Output output;
  output.write(json ? json_line(in_json(engine, name, roofline)) : table(engine, name, roofline));
  return output.finish(kSuccess);
}

}  // namespace orthrus::cli
