#include "server/api/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "files/display.h"

namespace orthrus::server {
namespace {

std::string in_range(auto least, auto most) {
  return fmt::format("{} to {}", least, most);
}

}  // namespace

std::string to_text(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Long values are not written out to be cut.
std::string shown(const Json& value) {
  if (value.is_array()) return fmt::format("a list of {}", value.size());
  if (value.is_object()) return "an object";
  if (!value.is_string()) return to_text(value);
  return in_quotes(value.get_ref<const std::string&>());
}

void refuse(const std::string& field, const Json& value, std::string_view valid) {
  throw invalid_request(fmt::format("{} is {}; it must be {}.", field, shown(value), valid), field,
                        "invalid_value");
}

int64_t integer_of(const Json& value, const std::string& field, int64_t least, int64_t most) {
  const auto check = [&](bool valid) {
    if (!valid) refuse(field, value, "a whole number from " + in_range(least, most));
  };
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    check(number <= static_cast<uint64_t>(std::max<int64_t>(most, 0)));
    check(static_cast<int64_t>(number) >= least);
    return static_cast<int64_t>(number);
  }
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    check(std::trunc(number) == number && std::abs(number) <= static_cast<double>(kMostExact));
    check(static_cast<int64_t>(number) >= least && static_cast<int64_t>(number) <= most);
    return static_cast<int64_t>(number);
  }
  check(value.is_number_integer());
  const auto number = value.get<int64_t>();
  check(number >= least && number <= most);
  return number;
}

double number_of(const Json& value, const std::string& field, double least, double most,
                 bool above) {
  const double number = value.is_number() ? value.get<double>() : least;
  const bool valid = value.is_number() && number >= least && number <= most;
  if (!valid || (above && number == least)) {
    refuse(field, value,
           above ? fmt::format("a number above {}, up to {}", least, most)
                 : "a number from " + in_range(least, most));
  }
  return number;
}

std::string text_of(const Json& value, const std::string& field) {
  if (!value.is_string()) refuse(field, value, "a string");
  return value.get<std::string>();
}

Fields::Fields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {
  if (!object.is_object()) server::refuse(path_.empty() ? "The body" : path_, object, "an object");
}

const Json* Fields::find(std::string_view name) const {
  const auto member = object_->find(name);
  return member == object_->end() || member->is_null() ? nullptr : &*member;
}

std::string Fields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

std::optional<bool> Fields::boolean(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(name, "true or false");
  return value->get<bool>();
}

std::optional<std::string> Fields::text(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return text_of(*value, path_of(name));
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t least, int64_t most) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return integer_of(*value, path_of(name), least, most);
}

std::optional<double> Fields::number(std::string_view name, double least, double most,
                                     bool above) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return number_of(*value, path_of(name), least, most, above);
}

std::optional<std::string> Fields::choice(std::string_view name,
                                          std::initializer_list<std::string_view> choices) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) {
    const std::string& text = value->get_ref<const std::string&>();
    if (std::find(choices.begin(), choices.end(), text) != choices.end()) return text;
  }
  std::string valid;
  for (const std::string_view& choice : choices) {
    if (!valid.empty()) valid += &choice + 1 == choices.end() ? " or " : ", ";
    valid += in_quotes(choice);
  }
  refuse(name, valid);
}

std::optional<Fields> Fields::object(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return std::nullopt;
  return Fields(*value, path_of(name));
}

const Json* Fields::list(std::string_view name) const {
  const Json* value = find(name);
  if (value != nullptr && !value->is_array()) refuse(name, "a list");
  return value;
}

const Json& Fields::required(std::string_view name, std::string_view what) const {
  const Json* value = find(name);
  if (value != nullptr) return *value;
  const std::string path = path_of(name);
  throw invalid_request(fmt::format("{} is missing; it must be {}.", path, what), path,
                        "missing_required_parameter");
}

void Fields::refuse(std::string_view name, std::string_view valid) const {
  const Json* value = find(name);
  server::refuse(path_of(name), value == nullptr ? Json(nullptr) : *value, valid);
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace orthrus::server
