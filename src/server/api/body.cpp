// Builds the value of a body as the parser goes through its text.
#include <fmt/format.h>

#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "files/display.h"
#include "files/json_document.h"
#include "server/api/fields.h"

namespace orthrus::server {
namespace {

[[noreturn]] void fail(std::string_view problem) {
  throw invalid_request(fmt::format("The body {}.", problem), {}, "invalid_json");
}

class Builder final : public nlohmann::json_sax<Json> {
 public:
  Json take() { return std::move(result_); }

  bool start_object(size_t) override { return open(Json::value_t::object); }
  bool start_array(size_t) override { return open(Json::value_t::array); }

  // The library looks through all members of an ordered object to add one; this adds them unseen,
  // and looks for those given twice once, at the end.
  bool end_object() override {
    const auto& members = open_.back().value.get_ref<const Json::object_t&>();
    std::unordered_set<std::string_view> names;
    names.reserve(members.size());
    for (const auto& [name, value] : members) {
      if (!names.insert(name).second) {
        fail(fmt::format("has {} twice in one object", in_quotes(name)));
      }
    }
    return close();
  }
  bool end_array() override { return close(); }

  bool key(std::string& key) override {
    open_.back().key = std::move(key);
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    fail("is not valid JSON: " + describe(error));
  }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }  // never from JSON text

 private:
  // An object or array whose end has not come.
  struct Open {
    Json value;
    std::string key = {};  // of an object's member that comes next
  };

  bool open(Json::value_t type) {
    if (open_.size() == kMaxDepth) fail(fmt::format("is nested more than {} deep", kMaxDepth));
    open_.push_back({Json(type)});
    return true;
  }

  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }

  bool add(Json&& value) {
    if (open_.empty()) {
      result_ = std::move(value);
      return true;
    }
    auto& [parent, key] = open_.back();
    if (parent.is_array()) {
      parent.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      parent.get_ref<Json::object_t&>().emplace_back(std::move(key), std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  Json result_;
};

}  // namespace

Json parse_body(std::string_view body) {
  if (const size_t zero = body.find('\0'); zero != body.npos) {
    fail(fmt::format("is not valid JSON: byte {} is zero", zero));
  }
  Builder builder;
  Json::sax_parse(body, &builder);
  Json value = builder.take();
  if (!value.is_object()) fail(fmt::format("is {}; it must be a JSON object", shown(value)));
  return value;
}

}  // namespace orthrus::server
