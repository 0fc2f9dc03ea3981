#include "checkpoint/problems.h"

namespace orthrus {

void Problems::add(ErrorKind kind, const std::string& line) {
  if (kind == ErrorKind::kFile) kind_ = kind;
  if (!lines_.empty()) lines_ += '\n';
  lines_ += line;
}

void Problems::throw_if_any() const {
  if (!none()) throw Error(kind_, lines_);
}

}  // namespace orthrus
