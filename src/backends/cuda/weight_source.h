// Where a device's weights come from: the rows of a network's matrices as the device stores them.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "backends/cuda/weight_plan.h"
#include "base/half.h"

namespace orthrus::cuda {

// Both functions call put(data, count) for pieces, one behind the other.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // In BF16, rows of `cols`, of which the last are zero where `from` has fewer.
  virtual void numbers(const Matrix& from, int cols,
                       const std::function<void(const BF16*, size_t)>& put) = 0;
  // All row groups in subtiles. What fills up the last rows and columns is zero.
  virtual void subtiles(const PlannedMatrix& matrix,
                        const std::function<void(const std::byte*, size_t)>& put) = 0;
};

// The mapped checkpoint.
class FileWeights final : public WeightSource {
 public:
  void numbers(const Matrix& from, int cols,
               const std::function<void(const BF16*, size_t)>& put) override;
  void subtiles(const PlannedMatrix& matrix,
                const std::function<void(const std::byte*, size_t)>& put) override;
};

// Made-up numbers, one run of them again and again. Each matrix begins at a place of its own, which
// does not depend on what else is stored, nor in which form: engines whose drafts have other
// weights have the same ones for the rest.
class MadeUpWeights final : public WeightSource {
 public:
  MadeUpWeights();

  float number(size_t i) const { return to_float(at(i)); }

  // Where the last matrix ends the next one begins, so that rows begin at different places. Before
  // anything of the matrix is asked for.
  void place(const Matrix& matrix);

  void numbers(const Matrix& from, int cols,
               const std::function<void(const BF16*, size_t)>& put) override;
  void subtiles(const PlannedMatrix& matrix,
                const std::function<void(const std::byte*, size_t)>& put) override;

 private:
  BF16 at(size_t i) const { return numbers_[i % numbers_.size()]; }
  // The numbers of a row.
  void copy_row(const Matrix& from, int row, BF16* to) const;

  std::vector<BF16> numbers_;
  std::vector<std::byte> packed_;  // whole subtiles, and the places in it are those of subtiles
  std::map<const Matrix*, size_t> starts_;  // places in numbers_
  size_t next_ = 0;
};

}  // namespace orthrus::cuda
