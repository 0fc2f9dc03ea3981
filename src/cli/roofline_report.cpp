#include "cli/roofline_report.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "cli/roofline_passes.h"
#include "cli/running.h"
#include "cli/text.h"

namespace orthrus::cli {
namespace {

bool on_processor(const Engine& engine) {
  return engine.device().is_cpu();
}

std::string or_dash(std::optional<double> value, int decimals) {
  return value ? fmt::format("{:.{}f}", *value, decimals) : "-";
}

nlohmann::ordered_json or_null(std::optional<double> value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

std::string machine_lines(const Engine& engine, const MachineRates& machine) {
  std::string text;
  const auto line = [&](std::string_view what, std::optional<double> rate, std::string_view unit) {
    if (rate) text += fmt::format("{:<28}{:8.1f} {}\n", what, *rate * 1e-9, unit);
  };
  line(on_processor(engine) ? "memory read" : "memory copied (both ways)", machine.bytes, "GB/s");
  line("float32 multiply-adds", machine.flops, "GFLOP/s");
  line("BF16 multiply-adds", machine.pair_flops, "GFLOP/s");
  line("8-bit integer multiply-adds", machine.byte_flops, "GFLOP/s");
  return text;
}

std::string pass_lines(const Roofline& roofline) {
  std::string text =
      fmt::format("{:<8}{:<8}{:>4}{:>8}{:>9}{:>9}{:>7}{:>6}{:>9}{:>6}{:>6}\n", "pass", "weights",
                  "rows", "context", "ms", "rows/s", "GB/s", "share", "GFLOP/s", "share", "limit");
  for (const PassMeasurement& pass : roofline.passes) {
    const PassShare share(pass);
    text +=
        fmt::format("{:<8}{:<8}{:>4}{:>8}{:>9.3f}{:>9.1f}{:>7.1f}{:>6.2f}{:>9.1f}{:>6}{:>6}\n",
                    name_of(pass.shape.kind), orthrus::name_of(pass.weights), pass.shape.rows,
                    pass.shape.context, pass.seconds * 1e3, pass.shape.rows / pass.seconds,
                    pass.bytes / pass.seconds * 1e-9, share.bytes, pass.flops / pass.seconds * 1e-9,
                    or_dash(share.flops, 2), or_dash(share.of_limit, 2));
  }
  return text +
         "\nMedians of rounds in which all was measured once, by turns. Shares are of what\n"
         "the machine gave just before, limit is the share of the nearer of the two. Above\n"
         "1 of the memory's rate, weights came from caches.\n";
}

std::string cycle_lines(const std::vector<Cycle>& cycles, std::optional<double> acceptance) {
  if (cycles.empty()) return "";
  std::string text = fmt::format("\n{:>7}{:>7}{:>10}{:>11}{:>10}{:>10}", "context", "block",
                                 "draft ms", "verify ms", "cycles/s", "AR tok/s");
  if (acceptance) text += fmt::format("{:>15}{:>9}", "assumed tok/s", "of AR");
  text += "\n";
  for (const Cycle& cycle : cycles) {
    std::optional<double> ar;
    if (cycle.ar_seconds) ar = 1 / *cycle.ar_seconds;
    text += fmt::format("{:>7}{:>7}{:>10.3f}{:>11.3f}{:>10.1f}{:>10}", cycle.context, cycle.block,
                        cycle.draft_seconds * 1e3, cycle.verify_seconds * 1e3, cycle.per_second(),
                        or_dash(ar, 1));
    if (acceptance) {
      const double speed = cycle.tokens_per_second(*acceptance);
      text += fmt::format("{:>15.1f}{:>9}", speed,
                          or_dash(ar ? std::optional(speed / *ar) : std::nullopt, 2));
    }
    text += "\n";
  }
  text +=
      "\nA cycle drafts in a row less than the block has and verifies the whole block;\n"
      "passes alone, without what lies between them.\n";
  if (acceptance) {
    text += fmt::format(
        "Tokens/s are assumed: no draft was judged. Were {} accepted a cycle\n"
        "(--assume-acceptance), each would give {}.\n",
        *acceptance, *acceptance + 1);
  }
  return text;
}

}  // namespace

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

std::optional<double> rate_of(const PassMeasurement& pass) {
  switch (pass.weights) {
    case DType::kBF16:
      return pass.machine.pair_flops;
    default:  // a device has no such products: blocks become BF16 in registers
      return pass.machine.byte_flops ? pass.machine.byte_flops : pass.machine.pair_flops;
    case DType::kF32:
    case DType::kF16:
      break;
  }
  return pass.machine.flops;
}

PassShare::PassShare(const PassMeasurement& pass)
    : bytes(pass.bytes / pass.seconds / pass.machine.bytes) {
  if (const auto rate = rate_of(pass)) {
    flops = pass.flops / pass.seconds / *rate;
    of_limit = std::max(bytes, *flops);
  }
}

std::string roofline_table(const Engine& engine, const std::string& name, const Roofline& roofline,
                           std::optional<double> acceptance) {
  const ModelConfig& config = engine.config();
  return fmt::format("{}, {}, {} KV cache, {}, {}\n\n", name, weights_in_words(engine),
                     orthrus::name_of(engine.kv_cache()),
                     config.has_diffusion_view() ? fmt::format("block size {}", config.block_size)
                                                 : "no diffusion view",
                     on_processor(engine) ? counted(engine.threads(), "thread")
                                          : orthrus::name_of(engine.device())) +
         machine_lines(engine, roofline.machine) + "\n" + pass_lines(roofline) +
         cycle_lines(cycles_of(roofline), acceptance);
}

void add_roofline(nlohmann::ordered_json& json, const Engine& engine, const Roofline& roofline,
                  std::optional<double> acceptance) {
  json.update(
      nlohmann::ordered_json{{"block_size", engine.config().block_size},
                             {"bytes_measured_by", on_processor(engine) ? "reading" : "copying"},
                             {"bytes_per_second", roofline.machine.bytes},
                             {"flops_per_second", or_null(roofline.machine.flops)},
                             {"bf16_flops_per_second", or_null(roofline.machine.pair_flops)},
                             {"byte_flops_per_second", or_null(roofline.machine.byte_flops)},
                             {"passes", nlohmann::ordered_json::array()},
                             {"assumed_acceptance", or_null(acceptance)},
                             {"cycles", nlohmann::ordered_json::array()}});
  for (const PassMeasurement& pass : roofline.passes) {
    const PassShare share(pass);
    json["passes"].push_back({{"pass", name_of(pass.shape.kind)},
                              {"weights", orthrus::name_of(pass.weights)},
                              {"rows", pass.shape.rows},
                              {"context", pass.shape.context},
                              {"seconds", pass.seconds},
                              {"bytes", pass.bytes},
                              {"flops", pass.flops},
                              {"share_of_bytes", share.bytes},
                              {"share_of_flops", or_null(share.flops)},
                              {"share_of_limit", or_null(share.of_limit)}});
  }
  for (const Cycle& cycle : cycles_of(roofline)) {
    std::optional<double> ar, assumed;
    if (cycle.ar_seconds) ar = 1 / *cycle.ar_seconds;
    if (acceptance) assumed = cycle.tokens_per_second(*acceptance);
    json["cycles"].push_back({{"context", cycle.context},
                              {"block", cycle.block},
                              {"draft_seconds", cycle.draft_seconds},
                              {"verify_seconds", cycle.verify_seconds},
                              {"cycles_per_second", cycle.per_second()},
                              {"ar_tokens_per_second", or_null(ar)},
                              {"assumed_tokens_per_second", or_null(assumed)}});
  }
}

}  // namespace orthrus::cli
