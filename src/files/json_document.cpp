#include "files/json_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

using nlohmann::json;

// The values of deeper nesting would each be tiny, and so take many times the text's memory.
constexpr size_t kMaxDepth = 32;

// Goes through a text before it is parsed, and refuses deep nesting and repeated keys. (The JSON
// library would call back while it parses, but then takes quadratic time for long arrays.)
class Inspector final : public nlohmann::json_sax<json> {
 public:
  explicit Inspector(const std::string& file) : file_(file) {}

  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& key) override {
    if (!open_.back().insert(key).second) {
      fail(fmt::format("an object has the key {} twice", in_quotes(key)));
    }
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    fail("is not valid JSON: " + describe(error));
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(json::binary_t&) override { return true; }

 private:
  bool open() {
    if (open_.size() == kMaxDepth) fail(fmt::format("is nested more than {} deep", kMaxDepth));
    open_.emplace_back();
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(ErrorKind::kFile, fmt::format("{}: {}.", file_, problem));
  }

  const std::string& file_;
  std::vector<std::set<std::string>> open_;  // the keys so far of each object; none for an array
};

}  // namespace

json parse_json_object(std::string_view text, const std::string& name) {
  refuse_zero_bytes(text, name);
  Inspector inspector(name);
  json::sax_parse(text, &inspector);
  json value = json::parse(text);
  if (!value.is_object()) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: is {}; it must be a JSON object.", name, shown(value)));
  }
  return value;
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
  return printable(value.dump());
}

}  // namespace orthrus
