#include "server/output/json_scanner.h"

#include <fmt/format.h>

#include <string_view>

namespace orthrus::server {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

JsonScanner::Result JsonScanner::put(char c) {
  if (string_ != String::kNone) return put_string(c);
  if (literal_ != nullptr) return put_literal(c);
  if (number_ != Number::kNone) return put_number(c);
  return put_structure(c);
}

JsonScanner::Result JsonScanner::put_string(char c) {
  switch (string_) {
    case String::kEscape:
      if (c == 'u') {
        string_ = String::kHex;
        hex_left_ = 4;
      } else if (std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos) {
        string_ = String::kText;
      } else {
        return Result::kMalformed;
      }
      return Result::kMore;
    case String::kHex:
      if (!is_hex_digit(c)) return Result::kMalformed;
      if (--hex_left_ == 0) string_ = String::kText;
      return Result::kMore;
    default:
      if (c == '\\') string_ = String::kEscape;
      if (c != '"') return Result::kMore;
      string_ = String::kNone;
      if (!is_key_) return end_value();
      is_key_ = false;
      expected_ = Expected::kColon;
      return Result::kMore;
  }
}

JsonScanner::Result JsonScanner::put_literal(char c) {
  if (c != *literal_) return Result::kMalformed;
  if (*++literal_ != '\0') return Result::kMore;
  literal_ = nullptr;
  return end_value();
}

JsonScanner::Result JsonScanner::put_number(char c) {
  const bool is_e = c == 'e' || c == 'E';
  Number next = Number::kNone;
  bool may_end = false;
  switch (number_) {
    case Number::kMinus:
      if (is_digit(c)) next = c == '0' ? Number::kZero : Number::kInteger;
      break;
    case Number::kZero:
    case Number::kInteger:
      may_end = true;
      if (is_digit(c) && number_ == Number::kInteger) next = Number::kInteger;
      if (c == '.') next = Number::kPoint;
      if (is_e) next = Number::kE;
      break;
    case Number::kPoint:
      if (is_digit(c)) next = Number::kFraction;
      break;
    case Number::kFraction:
      may_end = true;
      if (is_digit(c)) next = Number::kFraction;
      if (is_e) next = Number::kE;
      break;
    case Number::kE:
      if (c == '+' || c == '-') next = Number::kSign;
      if (is_digit(c)) next = Number::kExp;
      break;
    default:
      may_end = number_ == Number::kExp;
      if (is_digit(c)) next = Number::kExp;
  }
  if (next == Number::kNone && !may_end) return Result::kMalformed;
  number_ = next;
  if (next != Number::kNone) return Result::kMore;
  if (end_value() == Result::kEnd) return Result::kEndBefore;
  return put_structure(c);
}

JsonScanner::Result JsonScanner::put_structure(char c) {
  if (is_space(c)) return closings_.empty() ? Result::kMalformed : Result::kMore;
  switch (expected_) {
    case Expected::kColon:
      if (c != ':') return Result::kMalformed;
      expected_ = Expected::kValue;
      return Result::kMore;
    case Expected::kCommaOrEnd:
      if (c == closings_.back()) {
        closings_.pop_back();
        return end_value();
      }
      if (c != ',') return Result::kMalformed;
      expected_ = closings_.back() == '}' ? Expected::kKey : Expected::kValue;
      return Result::kMore;
    case Expected::kKeyOrEnd:
    case Expected::kValueOrEnd:
      if (c == closings_.back()) {
        closings_.pop_back();
        return end_value();
      }
      break;
    default:
      break;
  }
  if (expected_ == Expected::kValue || expected_ == Expected::kValueOrEnd) return begin_value(c);
  if (c != '"') return Result::kMalformed;
  string_ = String::kText;
  is_key_ = true;
  return Result::kMore;
}

JsonScanner::Result JsonScanner::begin_value(char c) {
  switch (c) {
    case '{':
      return open('}', Expected::kKeyOrEnd);
    case '[':
      return open(']', Expected::kValueOrEnd);
    case '"':
      string_ = String::kText;
      return Result::kMore;
    case 't':
      literal_ = "rue";
      return Result::kMore;
    case 'f':
      literal_ = "alse";
      return Result::kMore;
    case 'n':
      literal_ = "ull";
      return Result::kMore;
    case '-':
      number_ = Number::kMinus;
      return Result::kMore;
    default:
      if (!is_digit(c)) return Result::kMalformed;
      number_ = c == '0' ? Number::kZero : Number::kInteger;
      return Result::kMore;
  }
}

JsonScanner::Result JsonScanner::open(char closing, Expected expected) {
  if (closings_.size() == kMaxDepth) return Result::kMalformed;
  closings_ += closing;
  expected_ = expected;
  return Result::kMore;
}

JsonScanner::Result JsonScanner::end_value() {
  expected_ = Expected::kCommaOrEnd;
  return closings_.empty() ? Result::kEnd : Result::kMore;
}

void append_json(std::string& text, char c, bool in_string) {
  if (!in_string || static_cast<unsigned char>(c) >= 0x20) {
    text += c;
  } else if (c == '\n') {
    text += "\\n";
  } else if (c == '\t') {
    text += "\\t";
  } else {
    text += fmt::format("\\u{:04x}", static_cast<int>(c));
  }
}

}  // namespace orthrus::server
