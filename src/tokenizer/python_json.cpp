#include "tokenizer/python_json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "files/display.h"
#include "files/json_document.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 100;  // each level copies what is within it once

std::string python_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        result += "\\\"";
        break;
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      case '\t':
        result += "\\t";
        break;
      case '\b':
        result += "\\b";
        break;
      case '\f':
        result += "\\f";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          result += fmt::format("\\u{:04x}", static_cast<int>(c));
        } else {
          result += c;
        }
    }
  }
  return result + '"';
}

// The shortest digits that read back as `value`, laid out as repr(float) does: with an exponent
// below 1e-4 and from 1e16 on.
std::string python_float(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 std::chars_format::scientific)
                       .ptr;
  const std::string_view scientific(buffer.data(), static_cast<size_t>(end - buffer.data()));
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(std::string(scientific.substr(e + 1)).c_str());
  if (exponent < -4 || exponent >= 16) return std::string(scientific);

  std::string digits;
  for (const char c : scientific.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  if (exponent < 0) {
    digits.insert(0, static_cast<size_t>(-exponent), '0');
  } else if (digits.size() < static_cast<size_t>(exponent) + 2) {
    digits.resize(static_cast<size_t>(exponent) + 2, '0');
  }
  digits.insert(exponent < 0 ? 1 : static_cast<size_t>(exponent) + 1, 1, '.');
  return std::signbit(value) ? '-' + digits : digits;
}

// Writes the values as they are read.
class Writer : public nlohmann::json_sax<json> {
 public:
  explicit Writer(std::string_view what) : what_(what) {}

  std::string take() {
    if (!is_object_) fail("is " + printable(result_) + "; it must be a JSON object");
    return std::move(result_);
  }

  bool null() override { return value("null"); }
  bool boolean(bool given) override { return value(given ? "true" : "false"); }
  bool number_integer(number_integer_t given) override { return value(std::to_string(given)); }
  bool number_unsigned(number_unsigned_t given) override { return value(std::to_string(given)); }
  bool number_float(number_float_t given, const string_t& spelling) override {
    // An integer that 64 bits do not hold comes here, too; Python's have no limit.
    const bool integer = spelling.find_first_of(".eE") == spelling.npos;
    return value(integer ? spelling : python_float(given));
  }
  bool string(string_t& given) override { return value(python_string(given)); }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(size_t) override { return open(true); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(false); }
  bool end_array() override { return close(); }

  bool key(string_t& given) override {
    open_.back().key = std::move(given);
    return true;
  }

  bool parse_error(size_t, const std::string&, const json::exception& error) override {
    fail("is not valid JSON: " + describe(error));
  }

 private:
  // An object or list that is not complete.
  struct Open {
    bool is_object;
    std::string key = {};
    std::vector<std::string> items = {};
    std::map<std::string, size_t> place_of_key = {};
  };

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::kUsage, fmt::format("{} {}.", what_, why));
  }

  bool open(bool is_object) {
    if (open_.size() == kMaxDepth)
      fail(fmt::format("is nested more than {} levels deep", kMaxDepth));
    open_.push_back({is_object});
    return true;
  }

  bool close() {
    const Open closed = std::move(open_.back());
    open_.pop_back();
    std::string text(1, closed.is_object ? '{' : '[');
    for (const std::string& item : closed.items) {
      if (text.size() > 1) text += ", ";
      text += item;
    }
    text += closed.is_object ? '}' : ']';
    is_object_ = closed.is_object;
    return value(std::move(text));
  }

  bool value(std::string text) {
    if (open_.empty()) {
      result_ = std::move(text);
      return true;
    }
    Open& parent = open_.back();
    if (!parent.is_object) {
      parent.items.push_back(std::move(text));
      return true;
    }
    // Of a key given twice, Python keeps the first place and the last value.
    text = python_string(parent.key) + ": " + text;
    const auto [found, is_new] = parent.place_of_key.emplace(parent.key, parent.items.size());
    if (is_new) {
      parent.items.push_back(std::move(text));
    } else {
      parent.items[found->second] = std::move(text);
    }
    return true;
  }

  std::string_view what_;
  std::vector<Open> open_;
  std::string result_;
  bool is_object_ = false;
};

}  // namespace

std::string python_json_object(std::string_view text, std::string_view what) {
  if (text.find('\0') != text.npos) {  // which the JSON library takes for the text's end
    throw Error(ErrorKind::kUsage, fmt::format("{} is not valid JSON: it has a zero byte.", what));
  }
  Writer writer(what);
  json::sax_parse(text, &writer);
  return writer.take();
}

}  // namespace orthrus
