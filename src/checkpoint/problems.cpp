#include "checkpoint/problems.h"

#include <fmt/format.h>

namespace orthrus {
namespace {

constexpr int kMostTold = 20;  // a hostile file can have thousands

}  // namespace

void Problems::add(ErrorKind kind, const std::string& line) {
  if (kind == ErrorKind::kFile) kind_ = kind;
  if (count_++ >= kMostTold) return;
  if (!lines_.empty()) lines_ += '\n';
  lines_ += line;
}

void Problems::throw_if_any() const {
  if (none()) return;
  const int more = count_ - kMostTold;
  throw Error(kind_, more > 0 ? fmt::format("{}\n... and {} more", lines_, more) : lines_);
}

}  // namespace orthrus
