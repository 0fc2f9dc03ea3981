#include "cli/report.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/counted.h"

namespace orthrus::cli {
namespace {

std::string line(std::string_view label, const std::string& value) {
  return fmt::format("{:<19}{}\n", label, value);
}

}  // namespace

std::string Difference::in_words(std::string_view left_name, std::string_view right_name) const {
  const auto token = [](std::optional<int32_t> id) {
    return id ? fmt::format("id {}", *id) : std::string("the end");
  };
  return fmt::format("token {} is {} {}, {} {}", index, token(left), left_name, token(right),
                     right_name);
}

std::optional<Difference> first_difference(const std::vector<int32_t>& left,
                                           const std::vector<int32_t>& right) {
  const auto [l, r] = std::mismatch(left.begin(), left.end(), right.begin(), right.end());
  if (l == left.end() && r == right.end()) return std::nullopt;
  Difference difference{static_cast<size_t>(l - left.begin()), std::nullopt, std::nullopt};
  if (l != left.end()) difference.left = *l;
  if (r != right.end()) difference.right = *r;
  return difference;
}

std::string summary(const Generation& generation, std::optional<uint64_t> drawn_seed) {
  const GenerationStats& stats = generation.stats;
  std::string text = line("tokens", fmt::format("{}, finish reason {}", stats.generated,
                                                name_of(generation.finish_reason)));
  text += line("forward passes",
               stats.diffusion_passes == 0
                   ? fmt::format("{} prefill, {} AR", stats.prefill_passes, stats.ar_passes)
                   : fmt::format("{} prefill, {} AR (verify), {} diffusion (draft)",
                                 stats.prefill_passes, stats.ar_passes, stats.diffusion_passes));
  if (stats.cycles > 0) {
    text += line("acceptance length",
                 fmt::format("{:.2f} ({} accepted in {})", stats.acceptance_length(),
                             counted(stats.accepted, "draft"), counted(stats.cycles, "cycle")));
  }
  text += line("tokens per forward", fmt::format("{:.2f}", stats.tokens_per_forward()));
  if (drawn_seed) text += line("seed", std::to_string(*drawn_seed));
  text += line("prefill", fmt::format("{:.3f} s", stats.prefill_seconds));
  text += line("decoding", fmt::format("{:.1f} tokens/s, {:.3f} s", stats.tokens_per_second(),
                                       stats.decode_seconds));
  return text;
}

std::string comparison(const Generation& generation, const Generation& plain_ar) {
  const double plain_speed = plain_ar.stats.tokens_per_second();
  const double speed = generation.stats.tokens_per_second();
  std::string text =
      line("plain AR decoding",
           fmt::format("{:.1f} tokens/s{}", plain_speed,
                       plain_speed > 0
                           ? fmt::format("; the above is {:.2f} times as fast", speed / plain_speed)
                           : ""));
  const auto difference = first_difference(generation.output_ids, plain_ar.output_ids);
  text += "same ids as plain AR decoding: ";
  text += difference
              ? fmt::format("no, {}\n", difference->in_words("above", "in plain AR decoding"))
              : fmt::format("yes ({})\n", counted(generation.output_ids.size(), "token"));
  return text;
}

nlohmann::ordered_json to_json(const GenerationStats& stats) {
  return {{"prefill_passes", stats.prefill_passes},
          {"ar_passes", stats.ar_passes},
          {"diffusion_passes", stats.diffusion_passes},
          {"cycles", stats.cycles},
          {"accepted", stats.accepted},
          {"acceptance_length", stats.acceptance_length()},
          {"tokens_per_forward", stats.tokens_per_forward()},
          {"prefill_seconds", stats.prefill_seconds},
          {"decode_seconds", stats.decode_seconds},
          {"tokens_per_second", stats.tokens_per_second()}};
}

std::string json_line(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace orthrus::cli
