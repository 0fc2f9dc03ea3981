// Typed, checked access to the fields of a JSON object that a file holds.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/problems.h"

namespace orthrus {

// The getters check a field and record what is wrong with it; they then return some value in range,
// which nobody will see because throw_if_any() comes first. Without a `fallback`, the field must be
// there.
class JsonFields {
 public:
  // `object` and `problems` must outlive this. `prefix` leads to the object within its file:
  // "rope_parameters." for the one of that name, "" for the file's own.
  JsonFields(const nlohmann::json& object, std::string file, std::string prefix,
             Problems& problems);

  // The value, or null where the field is absent or null.
  const nlohmann::json* find(std::string_view key) const;

  bool boolean(std::string_view key, bool fallback) const;  // null is as absent
  int integer(std::string_view key, int low, int high, std::optional<int> fallback = {}) const;
  double number(std::string_view key, double low, double high,
                std::optional<double> fallback = {}) const;
  double positive(std::string_view key, double fallback) const;  // above 0, as a float too

  // An integer or a list of integers, each from 0 to `high`; nothing when absent or null.
  std::optional<std::vector<int32_t>> integers(std::string_view key, int high) const;

  std::string statement(std::string_view key) const;  // "FILE: KEY is VALUE"

  // Records that the field's value cannot be used: "FILE: KEY is VALUE; EXPECTATION."
  void refuse(std::string_view key, std::string_view expectation,
              ErrorKind kind = ErrorKind::kFile) const;

 private:
  const nlohmann::json* at(std::string_view key) const;  // null only when absent

  const nlohmann::json& object_;
  std::string file_;
  std::string prefix_;
  Problems& problems_;
};

}  // namespace orthrus
