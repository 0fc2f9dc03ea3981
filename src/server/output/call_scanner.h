// One call of a tool, {"name": ..., "arguments": ...}, read while it is being written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/output/json_scanner.h"

namespace orthrus::server {

class CallScanner {
 public:
  enum class Result : uint8_t {
    kMore,
    kEnd,        // this character closed the call
    kEndBefore,  // the call ended before this character, with its last brace left out
    kMalformed,  // what was taken is no call, or one whose arguments stop where they are
  };

  // `names`: null, or the only names that a call may have, with arguments not left out.
  // `mark`: the character that begins what stands behind the call, and may stand for its last
  // brace; '\0' for none.
  explicit CallScanner(const std::vector<std::string>* names = nullptr, char mark = '\0')
      : names_(names), mark_(mark) {}

  // Takes a character, but with kEndBefore and kMalformed. Appends to `arguments` the JSON text
  // that has become certain: nothing before begun().
  Result put(char c, std::string& arguments);

  // The name is known, and the arguments have begun as an object does.
  bool begun() const { return begun_; }
  const std::string& name() const { return name_; }
  // What was taken before it had begun.
  const std::string& raw() const { return raw_; }

 private:
  enum class State : uint8_t { kOpen, kKeyOrEnd, kKey, kInKey, kColon, kValue, kInValue, kAfter };
  enum class Value : uint8_t { kName, kObject, kText, kNull, kOther };

  Result take(char c, std::string& arguments);
  Result take_outside(char c, std::string& arguments);
  Result take_in_value(char c, std::string& arguments);
  bool begin_value(char c);
  bool end_value(std::string& arguments);
  void begin_if_ready(std::string& arguments);
  Result close(std::string& arguments);

  const std::vector<std::string>* names_;
  char mark_;
  State state_ = State::kOpen;
  Value value_ = Value::kOther;
  JsonScanner scanner_;  // of the key or value that is being read
  std::string text_;     // of a key or value that is kept
  std::string key_;
  std::string name_;
  std::string arguments_;  // those that wait for begun()
  bool has_name_ = false, has_arguments_ = false, begun_ = false;
  std::string raw_;
};

}  // namespace orthrus::server
