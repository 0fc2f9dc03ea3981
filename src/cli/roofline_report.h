// Measured passes, and the cycles that they make, as a table and in JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "orthrus/engine.h"

namespace orthrus::cli {

std::string_view name_of(PassKind kind);  // "ar", "draft", "prefill"

// The machine's rate of multiply-adds that a pass of such weights is held against, if it was
// measured.
std::optional<double> rate_of(const PassMeasurement& pass);

// A measured pass against the machine.
struct PassShare {
  explicit PassShare(const PassMeasurement& pass);

  double bytes;                           // of each rate
  std::optional<double> flops, of_limit;  // of_limit: of what the nearer one allows
};

// `name`: of the model. `acceptance`: accepted drafts a cycle that are assumed, if any are.
std::string roofline_table(const Engine& engine, const std::string& name, const Roofline& roofline,
                           std::optional<double> acceptance);
// Adds the same to `json`.
void add_roofline(nlohmann::ordered_json& json, const Engine& engine, const Roofline& roofline,
                  std::optional<double> acceptance);

}  // namespace orthrus::cli
