// What is wrong with some files, gathered to be reported together.
#pragma once

#include <string>

#include "orthrus/error.h"

namespace orthrus {

class Problems {
 public:
  void add(ErrorKind kind, const std::string& line);
  bool none() const { return lines_.empty(); }
  void throw_if_any() const;  // kFile if any of them is

 private:
  ErrorKind kind_ = ErrorKind::kUnsupported;
  std::string lines_;
};

}  // namespace orthrus
