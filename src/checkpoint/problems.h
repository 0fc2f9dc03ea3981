// What is wrong with some files, gathered to be reported together. Of many problems the first are
// told, and how many more there are.
#pragma once

#include <string>

#include "orthrus/error.h"

namespace orthrus {

class Problems {
 public:
  void add(ErrorKind kind, const std::string& line);
  bool none() const { return count_ == 0; }
  void throw_if_any() const;  // kFile if any of them is

 private:
  ErrorKind kind_ = ErrorKind::kUnsupported;
  std::string lines_;
  int count_ = 0;
};

}  // namespace orthrus
