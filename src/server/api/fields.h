// The JSON body of a request, and its fields: typed, in their ranges, or an ApiError that names
// field, value and what would be valid.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api/error.h"

namespace orthrus::server {

// Objects keep the order of their members: a model sees a tool's description as it was sent.
using Json = nlohmann::ordered_json;

// The JSON object that `body` is. Throws ApiError (400) for anything else: other values, text that
// is not JSON in UTF-8, numbers that no double holds, members that are given twice, and nesting
// deeper than kMaxDepth; 413 for values that need more than kMostBodyMemory, as millions of empty
// lists do in a body of the size that HTTP allows. Time is linear in the body.
inline constexpr size_t kMaxDepth = 64;
inline constexpr size_t kMostBodyMemory = size_t{128} << 20;
Json parse_body(std::string_view body);

// Without the quotes, escapes and errors that dump() may throw: what is not UTF-8 becomes U+FFFD.
std::string to_text(const Json& value);

// Characters of UTF-8.
size_t characters(std::string_view text);

// A value in a message: as JSON, shortened and printable.
std::string shown(const Json& value);

// [[noreturn]]: "FIELD is VALUE; it must be VALID."
[[noreturn]] void refuse(const std::string& field, const Json& value, std::string_view valid);

inline constexpr int64_t kMostExact = int64_t{1} << 53;  // to here a double is what it says

// Checked conversions; `field` is the name in messages. What is not there is for Fields to say.
int64_t integer_of(const Json& value, const std::string& field, int64_t least, int64_t most);
// `above`: the least is not valid itself.
double number_of(const Json& value, const std::string& field, double least, double most,
                 bool above = false);
std::string text_of(const Json& value, const std::string& field);

// An object of a request. It must outlive this. A member that is null counts as absent.
class Fields {
 public:
  // `path` is the object's own name in messages: "" for the body, "messages[0]". Throws when
  // `object` is not one.
  explicit Fields(const Json& object, std::string path = {});

  const Json* find(std::string_view name) const;  // null where absent
  bool has(std::string_view name) const { return find(name) != nullptr; }
  std::string path_of(std::string_view name) const;  // "messages[0].role"

  std::optional<bool> boolean(std::string_view name) const;
  std::optional<std::string> text(std::string_view name) const;
  // A whole number, also written as 5.0.
  std::optional<int64_t> integer(std::string_view name, int64_t least, int64_t most) const;
  std::optional<double> number(std::string_view name, double least, double most,
                               bool above = false) const;
  // One of these texts.
  std::optional<std::string> choice(std::string_view name,
                                    std::initializer_list<std::string_view> choices) const;
  std::optional<Fields> object(std::string_view name) const;
  const Json* list(std::string_view name) const;  // null where absent; an array of any length
  // What must be there.
  const Json& required(std::string_view name, std::string_view what) const;

  // Throws "FIELD is VALUE; it must be VALID." for this member, which is there.
  [[noreturn]] void refuse(std::string_view name, std::string_view valid) const;

 private:
  const Json* object_;
  std::string path_;
};

}  // namespace orthrus::server
