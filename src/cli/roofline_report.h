// Measured passes, and the cycles that they make, as a table and in JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "orthrus/engine.h"

namespace orthrus::cli {

// `name`: of the model. `acceptance`: accepted drafts a cycle that are assumed, if any are.
std::string roofline_table(const Engine& engine, const std::string& name, const Roofline& roofline,
                           std::optional<double> acceptance);
nlohmann::ordered_json roofline_json(const Engine& engine, const std::string& name,
                                     const Roofline& roofline, std::optional<double> acceptance);

}  // namespace orthrus::cli
