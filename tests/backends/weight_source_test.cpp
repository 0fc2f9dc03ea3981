// The rows of matrices as a CUDA device stores them, from a file and made up.
#include "backends/cuda/weight_source.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/ceil_div.h"

namespace orthrus::cuda {
namespace {

Matrix matrix(int rows, int cols, const BF16* data = nullptr) {
  Matrix matrix;
  matrix.type = DType::kBF16, matrix.data = data;
  matrix.rows = rows, matrix.cols = cols;
  return matrix;
}

std::vector<uint16_t> numbers_of(WeightSource& source, const Matrix& from, int cols) {
  std::vector<uint16_t> all;
  source.numbers(from, cols, [&](const BF16* numbers, size_t count) {
    for (size_t i = 0; i < count; ++i) all.push_back(numbers[i].bits);
  });
  return all;
}

std::vector<std::byte> subtiles_of(WeightSource& source, const PlannedMatrix& planned) {
  std::vector<std::byte> all;
  source.subtiles(planned, [&](const std::byte* data, size_t bytes) {
    all.insert(all.end(), data, data + bytes);
  });
  return all;
}

// Of each row the last columns are zero, where there are more than it has.
void check_numbers(WeightSource& source, const Matrix& from) {
  const std::vector<uint16_t> own = numbers_of(source, from, from.cols);
  const auto rows = static_cast<size_t>(from.rows), cols = static_cast<size_t>(from.cols);
  ASSERT_EQ(own.size(), rows * cols);
  EXPECT_LT(std::ranges::count(own, 0), static_cast<long>(own.size() / 100 + 2));
  for (const size_t wide : {cols + 1, round_up(cols, 32), cols + 40}) {
    const std::vector<uint16_t> padded = numbers_of(source, from, static_cast<int>(wide));
    ASSERT_EQ(padded.size(), rows * wide);
    for (size_t at = 0; at < padded.size(); ++at) {
      const size_t row = at / wide, col = at % wide;
      ASSERT_EQ(padded[at], col < cols ? own[row * cols + col] : 0)
          << "row " << row << ", column " << col << " of " << cols << " in " << wide;
    }
  }
}

std::vector<BF16> made_up_numbers(MadeUpWeights& made_up, const Matrix& from) {
  std::vector<BF16> numbers;
  for (const uint16_t bits : numbers_of(made_up, from, from.cols)) numbers.push_back({bits});
  return numbers;
}

// More rows than are converted at a time, and numbers than are made up.
constexpr int kManyRows = 150000;

TEST(WeightSource, MadeUpColumnsBeyondAMatrixsOwnAreZero) {
  const Matrix before = matrix(7, 9), pairs = matrix(1000, 20), many = matrix(kManyRows, 12);
  MadeUpWeights made_up;
  for (const Matrix* const each : {&before, &pairs, &many}) made_up.place(*each);
  check_numbers(made_up, pairs);
  check_numbers(made_up, many);
}

TEST(WeightSource, ColumnsBeyondAFilesMatrixAreZero) {
  const Matrix like = matrix(kManyRows, 12);
  MadeUpWeights made_up;
  made_up.place(like);
  const std::vector<BF16> numbers = made_up_numbers(made_up, like);
  FileWeights file;
  check_numbers(file, matrix(like.rows, like.cols, numbers.data()));
}

TEST(WeightSource, MadeUpSubtilesThatAreFullAreAsMany) {
  const Matrix full = matrix(128, 192);
  MadeUpWeights made_up;
  made_up.place(full);
  const PlannedMatrix planned = {{&full}, WeightForm::kQ8};
  EXPECT_EQ(subtiles_of(made_up, planned).size(), planned.bytes());
}

// Where rows and columns do not fill subtiles, made-up ones are packed as a file's are.
TEST(WeightSource, MadeUpSubtilesAreFilledUpAsThoseOfAFile) {
  struct Shape {
    int rows, cols;
  };
  for (const Shape shape :
       {Shape{128, 96}, {128, 40}, {192, 72}, {100, 128}, {104, 128}, {1, 8}, {296, 72}}) {
    for (const int in_turn : {0, 8}) {
      if (in_turn > 0 && shape.rows % in_turn != 0) continue;
      MadeUpWeights made_up;
      const Matrix first = matrix(shape.rows, shape.cols), second = first;
      made_up.place(first), made_up.place(second);
      const std::vector<BF16> one = made_up_numbers(made_up, first),
                              two = made_up_numbers(made_up, second);
      const Matrix first_in_file = matrix(shape.rows, shape.cols, one.data()),
                   second_in_file = matrix(shape.rows, shape.cols, two.data());
      const PlannedMatrix planned = {{&first, &second}, WeightForm::kQ8, in_turn};
      const PlannedMatrix in_file = {{&first_in_file, &second_in_file}, planned.form, in_turn};
      FileWeights file;
      const std::vector<std::byte> packed = subtiles_of(made_up, planned);
      EXPECT_EQ(packed.size(), planned.bytes());
      EXPECT_TRUE(packed == subtiles_of(file, in_file))
          << shape.rows << " x " << shape.cols << ", in turn: " << in_turn;
    }
  }
}

// Rows of two matrices in turn are packed as a matrix is that has them in this order.
TEST(WeightSource, RowsInTurnAreThoseOfOneMatrix) {
  constexpr int kRows = 40, kCols = 72, kInTurn = 8;
  MadeUpWeights made_up;
  const Matrix like = matrix(2 * kRows, kCols);
  made_up.place(like);
  const std::vector<BF16> mixed = made_up_numbers(made_up, like);
  std::vector<BF16> parts[2];
  for (int row = 0; row < 2 * kRows; ++row) {
    const auto from = mixed.begin() + row * kCols;
    std::vector<BF16>& part = parts[row / kInTurn % 2];
    part.insert(part.end(), from, from + kCols);
  }
  const Matrix first = matrix(kRows, kCols, parts[0].data()),
               second = matrix(kRows, kCols, parts[1].data()),
               whole = matrix(2 * kRows, kCols, mixed.data());
  FileWeights file;
  EXPECT_TRUE(subtiles_of(file, {{&first, &second}, WeightForm::kQ8, kInTurn}) ==
              subtiles_of(file, {{&whole}, WeightForm::kQ8}));
}

}  // namespace
}  // namespace orthrus::cuda
