// The fields of a tokenizer's JSON, with errors that say where they are.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/json_document.h"
#include "orthrus/error.h"
#include "tokenizer/tokenizer_spec.h"

namespace orthrus {

// A value of the file, null where there is none, and how one gets there.
class Field {
 public:
  Field(const nlohmann::json& value, std::string path, const std::string& file)
      : value_(&value), path_(std::move(path)), file_(&file) {}

  // That of an object; the file's own fields have no path before them.
  Field operator[](const std::string& key) const {
    static const nlohmann::json null;
    require_object();
    const auto found = value_->find(key);
    return {found == value_->end() ? null : *found, path_.empty() ? key : path_ + "." + key,
            *file_};
  }

  // Those of a list.
  std::vector<Field> items() const {
    require_list();
    std::vector<Field> items;
    for (const nlohmann::json& item : *value_) {
      items.emplace_back(item, fmt::format("{}[{}]", path_, items.size()), *file_);
    }
    return items;
  }

  bool is_null() const { return value_->is_null(); }
  bool is_object() const { return value_->is_object(); }

  bool boolean(bool fallback) const {
    if (is_null()) return fallback;
    if (!value_->is_boolean()) refuse("it must be true or false");
    return value_->get<bool>();
  }

  const std::string& string() const {
    if (!value_->is_string()) refuse("it must be a string");
    return value_->get_ref<const std::string&>();
  }

  int32_t token_id() const {
    if (!value_->is_number_unsigned() || value_->get<uint64_t>() >= kMaxTokens) {
      refuse(fmt::format("it must be an integer from 0 to {}", kMaxTokens - 1));
    }
    return value_->get<int32_t>();
  }

  void require_object() const {
    if (!value_->is_object()) refuse("it must be an object");
  }

  void require_list() const {
    if (!value_->is_array()) refuse("it must be a list");
  }

  void require(bool supported, std::string_view only) const {
    if (!supported) refuse(fmt::format("only {} is supported", only), ErrorKind::kUnsupported);
  }
  void require_null() const { require(is_null(), "null"); }
  void require_false() const { require(!boolean(false), "false"); }

  [[noreturn]] void refuse(std::string_view expectation, ErrorKind kind = ErrorKind::kFile) const {
    throw Error(kind, fmt::format("{}: {} is {}; {}.", *file_, path_, shown(*value_), expectation));
  }

 private:
  const nlohmann::json* value_;
  std::string path_;
  const std::string* file_;
};

// An entry of a list of added tokens: Error(kUnsupported) for one that takes what is around it.
// Normalized, if the token is, where the tokenizer does.
TokenizerSpec::AddedToken read_added_token(const Field& item, int32_t id, bool normalize);

}  // namespace orthrus
