// What the matrices of a model are in memory.
#pragma once

#include <optional>

#include "orthrus/dtype.h"

namespace orthrus {

// Numbers of one type; or native: each matrix as its file holds it.
class WeightType {
 public:
  constexpr WeightType() = default;  // native
  constexpr WeightType(DType one) : one_(one) {}
  static constexpr WeightType native() { return {}; }

  // The type of all matrices; none where they are native.
  constexpr std::optional<DType> one() const { return one_; }

  bool operator==(const WeightType&) const = default;

 private:
  std::optional<DType> one_;
};

}  // namespace orthrus
