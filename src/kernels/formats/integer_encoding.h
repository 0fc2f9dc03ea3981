// Integers of 4 or 8 bits in 32-bit words, with a scale and a zero point for each group of a row's
// columns: what AWQ, GPTQ and compressed-tensors store, each in an order of its own.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "kernels/formats/encoding.h"
#include "kernels/formats/scale_grid.h"

namespace orthrus {

// Unsigned integers by row and column of what they are for, packed in little-endian words along
// one of both: a layout is where words lie and which of a word's fields is whose.
struct IntegerGrid {
  static constexpr std::array<uint8_t, 8> kInOrder = {0, 1, 2, 3, 4, 5, 6, 7};

  const std::byte* data = nullptr;  // aligned to nothing
  int bits = 4;                     // 4 or 8
  bool along_rows = false;          // a word has neighbouring rows of a column, not the reverse
  size_t row_stride = 0, column_stride = 0;  // in words
  std::array<uint8_t, 8> fields = kInOrder;  // of neighbours, counted from a word's lowest bits

  int per_word() const { return 32 / bits; }
  unsigned largest() const { return (1u << bits) - 1; }

  unsigned at(size_t row, size_t column) const {
    const int shift = bits == 4 ? 3 : 2;  // per_word() is a power of two
    const size_t in_word = (size_t{1} << shift) - 1;
    const size_t field = (along_rows ? row : column) & in_word;
    const size_t word = (along_rows ? row >> shift : row) * row_stride +
                        (along_rows ? column : column >> shift) * column_stride;
    uint32_t value;
    std::memcpy(&value, data + word * sizeof value, sizeof value);
    return value >> (bits * fields[field]) & largest();
  }
};

// Number (n, k) is (integer(n, k) - zero(n, g)) * scale(n, g), where g is the group of column k,
// in float32: the difference is exact, and so is the product unless the scale has more than 16 bits
// of mantissa, which is where it is rounded.
struct IntegerMatrix {
  int rows = 0, columns = 0;
  IntegerGrid integers;
  // By row and group; zero points are the middle, 8 or 128, where there are none.
  std::optional<IntegerGrid> zeros;
  unsigned zero_offset = 0;  // added to what is stored, modulo 16 or 256
  ScaleGrid scales;          // by row and group
  int group_columns = 0;     // column k is of group k / group_columns,
  std::vector<int> groups;   // or of groups[k], where that is not empty
};

// Presents them as Q4_0 or Q8_0 where blocks of those have the very numbers: groups of whole
// blocks, scales that are F16, and zero points in the middle, or for Q8_0 4 bits; as F32 otherwise.
class IntegerEncoding final : public Encoding {
 public:
  // `source` names the format; `bytes` are those of all parts. largest() is not finite where a
  // scale is not, or where numbers would not be.
  IntegerEncoding(IntegerMatrix matrix, std::string_view source, size_t bytes);

  void read(int first, int count, std::byte* to) const override;
  bool finite(int, int) const override { return true; }  // as the scales are

  bool has_middle_zeros() const { return has_middle_zeros_; }  // all zero points are the middle

 private:
  int zero(size_t row, size_t group) const;
  size_t group_of(size_t column) const;
  DType exact_type() const;

  IntegerMatrix matrix_;
  bool has_middle_zeros_ = true;
};

}  // namespace orthrus
