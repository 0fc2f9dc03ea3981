// The one exception type that loading, tokenizing and argument checks throw.
#pragma once

#include <stdexcept>
#include <string>

namespace orthrus {

enum class ErrorKind {
  kUsage,        // the caller asked for something invalid (a bad option, an empty prompt)
  kFile,         // a file is missing, unreadable or malformed; the message names file, field, value
  kUnsupported,  // a well-formed checkpoint asks for something this engine does not do faithfully
  kSystem,       // the machine could not provide something (memory, a mapping)
};

// The message is one or more complete lines for a person: what was wrong, where, the offending
// value, and what would be valid. It ends without a newline.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace orthrus
