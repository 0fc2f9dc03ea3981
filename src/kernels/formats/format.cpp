#include "kernels/formats/format.h"

#include <limits>

#include "kernels/formats/blocks.h"

namespace orthrus {
namespace {

constexpr float kLargestF16 = 65504;

template <typename Stored>
float float_at(const std::byte* at) {
  Stored stored;
  std::memcpy(&stored, at, sizeof stored);
  if constexpr (std::is_same_v<Stored, float>) {
    return stored;
  } else {
    return to_float(stored);
  }
}

template <typename Stored>
void widen_numbers(const std::byte* from, size_t count, float* to) {
  for (size_t i = 0; i < count; ++i) to[i] = float_at<Stored>(from + i * sizeof(Stored));
}

// True when none of them has all bits of `exponent` set.
template <typename Word, Word exponent>
bool finite_numbers(const std::byte* from, size_t count) {
  Word found = 0;
  for (size_t i = 0; i < count; ++i) {
    Word bits;
    std::memcpy(&bits, from + i * sizeof(Word), sizeof(Word));
    found |= static_cast<Word>((bits & exponent) == exponent);
  }
  return found == 0;
}

using Unpack = void (*)(const std::byte*, BlockParts&);

template <Unpack unpack, int kColumns, int kBytes, int kGroup>
void widen_blocks(const std::byte* from, size_t blocks, float* to) {
  BlockParts parts;
  for (size_t b = 0; b < blocks; ++b) {
    unpack(from + b * kBytes, parts);
    for (int g = 0; g < kColumns / kGroup; ++g) {
      const float scale = parts.scale_of(g), minimum = parts.minimum_of(g);
      for (int i = 0; i < kGroup; ++i) {
        *to++ = scale * static_cast<float>(parts.quants[g * kGroup + i]) - minimum;
      }
    }
  }
}

template <Unpack unpack, int kColumns, int kBytes, int kGroup>
bool finite_blocks(const std::byte* from, size_t blocks) {
  BlockParts parts;
  bool finite = true;
  for (size_t b = 0; b < blocks; ++b) {
    unpack(from + b * kBytes, parts);
    finite &= is_finite(parts.scale) && is_finite(parts.minimum);
  }
  return finite;
}

template <typename Stored, typename Word, Word exponent>
constexpr Format numbers(DType type, std::string_view name, float largest) {
  return {type,
          name,
          1,
          sizeof(Stored),
          largest,
          widen_numbers<Stored>,
          finite_numbers<Word, exponent>,
          0,
          false,
          nullptr};
}

template <Unpack unpack, int kColumns, int kBytes, int kGroup>
constexpr Format blocks(DType type, std::string_view name, float largest, bool minimums = false) {
  return {type,
          name,
          kColumns,
          kBytes,
          largest,
          widen_blocks<unpack, kColumns, kBytes, kGroup>,
          finite_blocks<unpack, kColumns, kBytes, kGroup>,
          kGroup,
          minimums,
          unpack};
}

constexpr Format kFormats[] = {
    numbers<float, uint32_t, 0x7f800000>(DType::kF32, "F32", std::numeric_limits<float>::max()),
    numbers<F16, uint16_t, 0x7c00>(DType::kF16, "F16", kLargestF16),
    numbers<BF16, uint16_t, 0x7f80>(DType::kBF16, "BF16", 0x1.fep127f),
    blocks<unpack_q8_0, 32, 34, 32>(DType::kQ8_0, "Q8_0", 127 * kLargestF16),
    blocks<unpack_q4_0, 32, 18, 32>(DType::kQ4_0, "Q4_0", 8 * kLargestF16),
    blocks<unpack_q5_0, 32, 22, 32>(DType::kQ5_0, "Q5_0", 16 * kLargestF16),
    blocks<unpack_q4_k, 256, 144, 32>(DType::kQ4_K, "Q4_K", 63 * 15 * kLargestF16, true),
    blocks<unpack_q5_k, 256, 176, 32>(DType::kQ5_K, "Q5_K", 63 * 31 * kLargestF16, true),
    blocks<unpack_q6_k, 256, 210, 16>(DType::kQ6_K, "Q6_K", 128 * 32 * kLargestF16),
    blocks<unpack_iq4_nl, 32, 18, 32>(DType::kIQ4_NL, "IQ4_NL", 127 * kLargestF16),
    blocks<unpack_iq4_xs, 256, 136, 32>(DType::kIQ4_XS, "IQ4_XS", 32 * 127 * kLargestF16),
};

static_assert([] {
  for (size_t i = 0; i < std::size(kFormats); ++i) {
    if (kFormats[i].type != static_cast<DType>(i)) return false;
  }
  return true;
}());

}  // namespace

const Format& format_of(DType type) {
  return kFormats[static_cast<size_t>(type)];
}

std::span<const Format> all_formats() {
  return kFormats;
}

std::string_view name_of(DType type) {
  return format_of(type).name;
}

std::string names_of(std::span<const DType> types) {
  std::string names;
  for (const DType type : types) {
    if (!names.empty()) names += '+';
    names += name_of(type);
  }
  return names;
}

}  // namespace orthrus
