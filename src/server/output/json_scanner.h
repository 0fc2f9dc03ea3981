// Where a JSON value ends, found while it is being written.
#pragma once

#include <cstdint>
#include <string>

namespace orthrus::server {

// Takes one value character by character. Strict (RFC 8259), but for control characters within
// strings, which models write where they mean \n: append_json() puts them right.
class JsonScanner {
 public:
  static constexpr size_t kMaxDepth = 100;  // of arrays and objects; deeper ones are malformed

  enum class Result : uint8_t {
    kMore,
    kEnd,        // this character was the value's last
    kEndBefore,  // the value, a number, ended before this character, which was not taken
    kMalformed,  // this character was not taken
  };

  // The first character may be white space only within arrays and objects. After kEnd, kEndBefore
  // and kMalformed, nothing may follow.
  Result put(char c);

  bool in_string() const { return string_ != String::kNone; }

 private:
  enum class Expected : uint8_t { kValue, kValueOrEnd, kKey, kKeyOrEnd, kColon, kCommaOrEnd };
  enum class String : uint8_t { kNone, kText, kEscape, kHex };
  enum class Number : uint8_t {
    kNone,
    kMinus,
    kZero,
    kInteger,
    kPoint,
    kFraction,
    kE,
    kSign,
    kExp
  };

  Result put_string(char c);
  Result put_number(char c);
  Result put_literal(char c);
  Result put_structure(char c);
  Result begin_value(char c);
  Result open(char closing, Expected expected);
  Result end_value();  // of any value: what may follow it is decided by what it stands in

  std::string closings_;  // '}' or ']' of each array and object that is open
  Expected expected_ = Expected::kValue;
  String string_ = String::kNone;
  bool is_key_ = false;
  int hex_left_ = 0;
  Number number_ = Number::kNone;
  const char* literal_ = nullptr;  // what is left of true, false or null
};

// Appends a character of JSON text, escaped if it is a control character in a string.
void append_json(std::string& text, char c, bool in_string);

}  // namespace orthrus::server
