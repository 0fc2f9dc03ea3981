#include "checkpoint/huggingface/json_fields.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "files/display.h"
#include "files/json_document.h"

namespace orthrus {
namespace {

using nlohmann::json;

// Only what is written as an integer: neither 16.0 nor 1e3.
std::optional<int> as_integer(const json& value, int low, int high) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    return std::nullopt;
  }
  const auto integer = value.get<int64_t>();
  if (integer < low || integer > high) return std::nullopt;
  return static_cast<int>(integer);
}

}  // namespace

JsonFields::JsonFields(const json& object, std::string file, std::string prefix, Problems& problems)
    : object_(object), file_(std::move(file)), prefix_(std::move(prefix)), problems_(problems) {}

const json* JsonFields::at(std::string_view key) const {
  const auto it = object_.find(key);
  return it == object_.end() ? nullptr : &*it;
}

const json* JsonFields::find(std::string_view key) const {
  const json* value = at(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool JsonFields::boolean(std::string_view key, bool fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  refuse(key, "it must be true or false");
  return fallback;
}

int JsonFields::integer(std::string_view key, int low, int high,
                        std::optional<int> fallback) const {
  const json* value = at(key);
  if (value == nullptr && fallback) return *fallback;
  if (value != nullptr) {
    if (const auto integer = as_integer(*value, low, high)) return *integer;
  }
  refuse(key, fmt::format("it must be an integer from {} to {}", low, high));
  return high;
}

double JsonFields::number(std::string_view key, double low, double high,
                          std::optional<double> fallback) const {
  const json* value = at(key);
  if (value == nullptr && fallback) return *fallback;
  if (value != nullptr && value->is_number()) {
    const auto number = value->get<double>();
    if (number >= low && number <= high) return number;
  }
  refuse(key, fmt::format("it must be a number from {} to {}", low, high));
  return high;
}

double JsonFields::positive(std::string_view key, double fallback) const {
  const json* value = at(key);
  if (value == nullptr) return fallback;
  if (value->is_number()) {
    const auto number = value->get<double>();
    using Limits = std::numeric_limits<float>;
    if (number >= Limits::min() && number <= Limits::max()) return number;
  }
  refuse(key, "it must be a number above 0 that a 32-bit float can hold");
  return fallback;
}

std::optional<std::vector<int32_t>> JsonFields::integers(std::string_view key, int high) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  std::vector<int32_t> result;
  for (const json& element : list_or_one(*value)) {
    const auto integer = as_integer(element, 0, high);
    if (!integer) {
      refuse(key, fmt::format("it must be an integer from 0 to {}, or a list of such", high));
      break;
    }
    result.push_back(*integer);
  }
  return result;
}

std::string JsonFields::statement(std::string_view key) const {
  const json* value = at(key);
  const std::string state = value == nullptr ? "missing" : shown(*value);
  return fmt::format("{}: {}{} is {}", file_, prefix_, printable(key), state);
}

void JsonFields::refuse(std::string_view key, std::string_view expectation, ErrorKind kind) const {
  problems_.add(kind, fmt::format("{}; {}.", statement(key), expectation));
}

}  // namespace orthrus
