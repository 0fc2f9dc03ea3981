// What a generation was, in lines for a person and in JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "orthrus/engine.h"

namespace orthrus::cli {

// Two runs that ought to have the same ids: where the first difference is, if there is one.
struct Difference {
  size_t index;
  std::optional<int32_t> left, right;  // none: that run ended before

  std::string in_words(std::string_view left_name, std::string_view right_name) const;
};
std::optional<Difference> first_difference(const std::vector<int32_t>& left,
                                           const std::vector<int32_t>& right);

std::string summary(const Generation& generation, std::optional<uint64_t> drawn_seed = {});
std::string comparison(const Generation& generation, const Generation& plain_ar);

nlohmann::ordered_json to_json(const GenerationStats& stats);

// One line; bytes that are not UTF-8 are replaced.
std::string json_line(const nlohmann::ordered_json& value);

}  // namespace orthrus::cli
