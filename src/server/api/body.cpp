// Builds the value of a body as the parser goes through its text.
#include <fmt/format.h>

#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "files/display.h"
#include "files/json_sax.h"
#include "server/api/fields.h"

namespace orthrus::server {
namespace {

// What values take beside their texts, roughly: a list or an object with its first buffer; a
// member with its key, and its name where doubles are looked for.
constexpr size_t kStructure = sizeof(Json) + 80;
constexpr size_t kMember = sizeof(Json) + 112;

class Builder final : public JsonSax<Json> {
 public:
  Builder() : JsonSax(kMaxDepth) {}

  Json take() { return std::move(result_); }

 private:
  // An object or array whose end has not come.
  struct Open {
    Json value;
    std::string key = {};  // of an object's member that comes next
  };

  void open(Json::value_t type) override {
    spend(kStructure);
    open_.push_back({Json(type)});
  }

  void close() override {
    if (open_.back().value.is_object()) refuse_doubles();
    Json value = std::move(open_.back().value);
    open_.pop_back();
    add(std::move(value));
  }

  // The library looks through all members of an ordered object to add one; this adds them unseen,
  // and looks for those given twice once, at the end.
  void refuse_doubles() const {
    const auto& members = open_.back().value.get_ref<const Json::object_t&>();
    std::unordered_set<std::string_view> names;
    names.reserve(members.size());
    for (const auto& [name, value] : members) {
      if (!names.insert(name).second) {
        fail(fmt::format("has {} twice in one object", in_quotes(name)));
      }
    }
  }

  void set_key(std::string key) override {
    spend(kMember + key.size());
    open_.back().key = std::move(key);
  }

  void add(Json&& value) override {
    spend(sizeof(Json));
    if (value.is_string()) spend(sizeof(std::string) + value.get_ref<std::string&>().size());
    if (open_.empty()) {
      result_ = std::move(value);
      return;
    }
    auto& [parent, key] = open_.back();
    if (parent.is_array()) {
      parent.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      parent.get_ref<Json::object_t&>().emplace_back(std::move(key), std::move(value));
    }
  }

  [[noreturn]] void fail(std::string_view problem) const override {
    throw invalid_request(fmt::format("The body {}.", problem), {}, "invalid_json");
  }

  void spend(size_t bytes) {
    bytes_ += bytes;
    if (bytes_ <= kMostBodyMemory) return;
    throw ApiError(
        413, "invalid_request_error",
        fmt::format("The body has more values than fit into {} MiB.", kMostBodyMemory >> 20), {},
        "body_too_large");
  }

  std::vector<Open> open_;
  size_t bytes_ = 0;
  Json result_;
};

}  // namespace

Json parse_body(std::string_view body) {
  Builder builder;
  builder.parse(body);
  Json value = builder.take();
  if (!value.is_object()) {
    throw invalid_request(fmt::format("The body is {}; it must be a JSON object.", shown(value)),
                          {}, "invalid_json");
  }
  return value;
}

}  // namespace orthrus::server
