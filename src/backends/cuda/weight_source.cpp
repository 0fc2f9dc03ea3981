#include "backends/cuda/weight_source.h"

#include <algorithm>
#include <random>

#include "backends/cuda/pack_blocks.h"
#include "kernels/formats/format.h"
#include "kernels/matrix_rows.h"

namespace orthrus::cuda {
namespace {

// Of weights that are converted at a time; or one row if that is longer.
constexpr int kSlice = 1 << 22;

size_t size_of(int rows, int cols) {
  return static_cast<size_t>(rows) * static_cast<size_t>(cols);
}

// `rows_of(part)` gives a function that gives the bytes of the part's row i.
template <typename RowsOf>
void pack_groups(const PlannedMatrix& matrix, RowsOf rows_of,
                 const std::function<void(const std::byte*, size_t)>& put) {
  std::vector<decltype(rows_of(*matrix.parts.front()))> rows;
  for (const Matrix* const part : matrix.parts) rows.push_back(rows_of(*part));
  std::vector<std::byte> group(packed_bytes(matrix.form, 1, matrix.cols()));
  int place = 0, groups = row_groups(matrix.rows());
  const auto send = [&] {
    put(group.data(), group.size());
    std::ranges::fill(group, std::byte{});
    place = 0, --groups;
  };
  matrix.for_runs([&](size_t part, int first_row, int count) {
    const Matrix& from = *matrix.parts[part];
    for (int i = 0; i < count; ++i) {
      pack_row(rows[part](first_row + i), from.type, from.cols, matrix.form, place, group.data());
      if (++place == kSubtileRows) send();
    }
  });
  while (groups > 0) send();
}

// `count` items of a run that begins again where it ends.
template <typename T>
void repeat(const std::vector<T>& run, size_t begin, size_t count,
            const std::function<void(const T*, size_t)>& put) {
  for (size_t at = begin; count > 0;) {
    const size_t part = std::min(count, run.size() - at);
    put(run.data() + at, part);
    at = (at + part) % run.size(), count -= part;
  }
}

}  // namespace

void FileWeights::numbers(const Matrix& from, int cols,
                          const std::function<void(const BF16*, size_t)>& put) {
  if (from.type == DType::kBF16 && from.encoding == nullptr && cols == from.cols) {
    put(static_cast<const BF16*>(from.data), size_of(from.rows, cols));
    return;
  }
  const Format& format = format_of(from.type);
  const int slice_rows = std::clamp(kSlice / cols, 1, from.rows);
  std::vector<float> wide(size_of(slice_rows, from.cols));
  std::vector<BF16> rounded(size_of(slice_rows, cols));
  MatrixRows read(from);
  for (int row = 0; row < from.rows; row += slice_rows) {
    const int rows = std::min(slice_rows, from.rows - row);
    const size_t count = size_of(rows, from.cols);
    format.widen(read.read(row, rows), count / static_cast<size_t>(format.block_columns),
                 wide.data());
    for (int i = 0; i < rows; ++i) {
      const float* const of_row = wide.data() + size_of(i, from.cols);
      std::transform(of_row, of_row + from.cols, rounded.data() + size_of(i, cols), to_bf16);
    }
    put(rounded.data(), size_of(rows, cols));
  }
}

void FileWeights::subtiles(const PlannedMatrix& matrix,
                           const std::function<void(const std::byte*, size_t)>& put) {
  const auto rows_of = [](const Matrix& part) {
    return [read = MatrixRows(part)](int i) mutable { return read.read(i, 1); };
  };
  pack_groups(matrix, rows_of, put);
}

MadeUpWeights::MadeUpWeights() : numbers_(1000003) {
  std::minstd_rand random(1);
  constexpr float kStep = 0.02f * 1.7320508f / 32768;  // a standard deviation of 0.02
  for (BF16& number : numbers_) {
    const int step = static_cast<int>(random() >> 8 & 0xffff) - 32768;
    number = to_bf16(static_cast<float>(step) * kStep);
  }
}

void MadeUpWeights::place(const Matrix& matrix) {
  starts_.emplace(&matrix, next_);
  next_ = (next_ + size_of(matrix.rows, matrix.cols)) % numbers_.size();
}

void MadeUpWeights::copy_row(const Matrix& from, int row, BF16* to) const {
  const size_t begin = starts_.at(&from) + size_of(row, from.cols);
  for (int i = 0; i < from.cols; ++i) to[i] = at(begin + static_cast<size_t>(i));
}

void MadeUpWeights::numbers(const Matrix& from, int cols,
                            const std::function<void(const BF16*, size_t)>& put) {
  if (cols == from.cols) {
    repeat(numbers_, starts_.at(&from), size_of(from.rows, cols), put);
    return;
  }
  const int slice_rows = std::clamp(kSlice / cols, 1, from.rows);
  std::vector<BF16> slice(size_of(slice_rows, cols));
  for (int row = 0; row < from.rows; row += slice_rows) {
    const int rows = std::min(slice_rows, from.rows - row);
    for (int i = 0; i < rows; ++i) copy_row(from, row + i, slice.data() + size_of(i, cols));
    put(slice.data(), size_of(rows, cols));
  }
}

void MadeUpWeights::subtiles(const PlannedMatrix& matrix,
                             const std::function<void(const std::byte*, size_t)>& put) {
  const WeightForm form = matrix.form;  // one for all made-up ones
  constexpr size_t kSubtileSize = size_t{kSubtileRows} * kSubtileCols;
  const size_t bytes = matrix.bytes(), subtile = static_cast<size_t>(subtile_bytes(form));
  if (size_of(matrix.rows(), matrix.cols()) != bytes / subtile * kSubtileSize) {
    // There is something to fill up.
    const auto rows_of = [&](const Matrix& part) {
      return [&, row = std::vector<BF16>(static_cast<size_t>(part.cols))](int i) mutable {
        copy_row(part, i, row.data());
        return reinterpret_cast<const std::byte*>(row.data());
      };
    };
    pack_groups(matrix, rows_of, put);
    return;
  }
  constexpr int kSubtiles = 61;  // no number of columns is a multiple
  if (packed_.empty()) {
    packed_.resize(kSubtiles * subtile);
    constexpr int kCols = kSubtiles * kSubtileCols;
    for (int i = 0; i < kSubtileRows; ++i) {
      const auto* const row = reinterpret_cast<const std::byte*>(numbers_.data() + i * kCols);
      pack_row(row, DType::kBF16, kCols, form, i, packed_.data());
    }
  }
  repeat(packed_, starts_.at(matrix.parts.front()) % kSubtiles * subtile, bytes, put);
}

}  // namespace orthrus::cuda
