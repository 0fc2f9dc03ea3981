// A matrix whose numbers a file spreads over several tensors, such as small integers and the scales
// of groups of them: as those quantize who run models on GPUs. It is read a few rows at a time, as
// rows of a number format that has each of its numbers exactly.
#pragma once

#include <cstddef>
#include <string>

#include "orthrus/dtype.h"

namespace orthrus {

class Encoding {
 public:
  virtual ~Encoding() = default;

  // The rows [first, first + count) as bytes of type(), one below the other, into `to`. Any number
  // of threads may read at once.
  virtual void read(int first, int count, std::byte* to) const = 0;

  // Whether all numbers of these rows are finite.
  virtual bool finite(int first, int count) const = 0;

  const std::string& name() const { return name_; }  // "AWQ int4, groups of 128"
  DType type() const { return type_; }               // F32, or blocks that divide the columns
  int rows() const { return rows_; }
  int cols() const { return cols_; }
  size_t bytes() const { return bytes_; }     // of all its tensors
  float largest() const { return largest_; }  // no finite number is larger in magnitude

 protected:
  std::string name_;
  DType type_ = DType::kF32;
  int rows_ = 0, cols_ = 0;
  size_t bytes_ = 0;
  float largest_ = 0;
};

}  // namespace orthrus
