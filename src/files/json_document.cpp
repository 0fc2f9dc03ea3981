#include "files/json_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "files/display.h"
#include "files/json_sax.h"
#include "files/recognize.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

using nlohmann::json;

// The values of deeper nesting would each be tiny, and so take many times the text's memory.
constexpr size_t kMaxDepth = 32;

// From the leaves up: the library's destructor allocates nothing for empty lists and objects.
void make_empty(json& value) noexcept {
  if (!value.is_structured()) return;
  for (json& child : value) make_empty(child);
  value.clear();
}

// Stands for a value that is given twice and differs. JSON text has no binary values, so that no
// other can be taken for it.
json given_twice(const json& first, const json& second) {
  const std::string text = fmt::format("given twice, as {} and as {}", shown(first), shown(second));
  json mark(json::value_t::binary);  // json::binary() destroys a null pointer where memory fails
  mark.get_binary() = std::vector<uint8_t>(text.begin(), text.end());
  return mark;
}

class Builder final : public JsonSax<json> {
 public:
  explicit Builder(const std::string& file) : JsonSax(kMaxDepth), file_(file) {}

  JsonPointer take() { return std::move(result_); }

 private:
  // An object or array whose end has not come.
  struct Open {
    JsonPointer value;
    std::string key = {};  // of an object's member that comes next
  };

  void open(json::value_t type) override { open_.push_back({JsonPointer(new json(type))}); }

  void close() override {
    const JsonPointer value = std::move(open_.back().value);
    open_.pop_back();
    add(std::move(*value));
  }

  void set_key(std::string key) override { open_.back().key = std::move(key); }

  // Leaves the value to its owner unless it finds its place.
  void add(json&& value) override {
    if (open_.empty()) {
      result_.reset(new json(std::move(value)));
      return;
    }
    auto& [parent, key] = open_.back();
    if (parent->is_array()) {
      parent->push_back(std::move(value));
      return;
    }
    const auto [member, is_new] = parent->emplace(std::move(key), nullptr);
    if (is_new) {
      *member = std::move(value);
    } else if (!member->is_binary() && *member != value) {
      json mark = given_twice(*member, value);
      make_empty(*member);
      *member = std::move(mark);
    }
  }

  [[noreturn]] void fail(std::string_view problem) const override {
    throw Error(ErrorKind::kFile, fmt::format("{}: {}.", file_, problem));
  }

  const std::string& file_;
  std::vector<Open> open_;
  JsonPointer result_{new json};
};

// Where the string that begins at `at` ends, behind its quotes; at the end of the text if it has
// none.
size_t end_of_string(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return text.size();
}

// The text with the numbers that Python writes and JSON has not as strings.
std::string with_constants_quoted(std::string_view text) {
  std::string result;
  size_t copied = 0;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      at = end_of_string(text, at);
      continue;
    }
    const std::string_view rest = text.substr(at);
    size_t length = 0;
    for (const std::string_view constant : {"NaN", "Infinity", "-Infinity"}) {
      if (rest.starts_with(constant)) length = constant.size();
    }
    if (length > 0) {
      result.append(text.substr(copied, at - copied)).append(1, '"');
      result.append(rest.substr(0, length)).append(1, '"');
      copied = at + length;
    }
    at += std::max<size_t>(length, 1);
  }
  return result.append(text.substr(copied));
}

}  // namespace

void JsonDeleter::operator()(json* value) const noexcept {
  make_empty(*value);
  delete value;
}

JsonPointer parse_json_object(std::string_view text, const std::string& name) {
  refuse_other_than_json(text, name);
  refuse_zero_bytes(text, name);  // at its place in the file
  Builder builder(name);
  builder.parse(with_constants_quoted(text));
  JsonPointer value = builder.take();
  if (!value->is_object()) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: is {}; it must be a JSON object.", name, shown(*value)));
  }
  return value;
}

bool is_text(const json& value, std::string_view text) {
  return value.is_string() && value.get_ref<const std::string&>() == text;
}

std::span<const json> list_or_one(const json& value) {
  if (value.is_array()) return value.get_ref<const json::array_t&>();
  return {&value, 1};
}

void refuse_other_than_json(std::string_view text, const std::string& name) {
  const std::string_view what = what_it_is(text);
  if (what.empty() || what == kItIsJson) return;
  throw Error(ErrorKind::kFile, fmt::format("{}: is not JSON: {}.", name, what));
}

void refuse_zero_bytes(std::string_view text, const std::string& name) {
  const size_t position = text.find('\0');
  if (position == std::string_view::npos) return;
  throw Error(ErrorKind::kFile,
              fmt::format("{}: is not valid JSON: byte {} is zero.", name, position));
}

std::string describe(const std::exception& json_error) {
  std::string_view what = json_error.what();
  if (const size_t end = what.find("] "); what.starts_with('[') && end != what.npos) {
    what.remove_prefix(end + 2);
  }
  return printable(what, 240);
}

std::string shown(const json& value) {
  if (!value.is_binary()) return printable(value.dump());
  const json::binary_t& text = value.get_binary();
  return std::string(text.begin(), text.end());
}

}  // namespace orthrus
