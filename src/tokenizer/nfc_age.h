// Where the Unicode of Hugging Face's tokenizers, which models were trained with, is older than
// utf8proc's.
#pragma once

#include <algorithm>
#include <array>

namespace orthrus {

// tokenizers (0.23.3 was asked) normalizes by the crate unicode-normalization-alignments, whose
// tables are Unicode 9's. To them a mark that came later is a letter: it keeps its place, and
// nothing composes across it. These are all of those that utf8proc 2.8 has, Unicode 15's: first and
// last. (tests/data/nfc/make.py asks both.)
struct CodePoints {
  char32_t first;
  char32_t last;
};
inline constexpr std::array<CodePoints, 36> kMarksSinceUnicode9 = {{
    {0x07fd, 0x07fd},   {0x0898, 0x089f},   {0x08ca, 0x08d3},   {0x09fe, 0x09fe},
    {0x0c3c, 0x0c3c},   {0x0d3b, 0x0d3c},   {0x0eba, 0x0eba},   {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0xa82c, 0xa82c},   {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0}, {0x11a34, 0x11a34},
    {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42}, {0x11d44, 0x11d45},
    {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1}, {0x1e08f, 0x1e08f},
    {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae}, {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef},
}};

constexpr bool is_mark_since_unicode9(char32_t code_point) {
  const auto range =
      std::upper_bound(kMarksSinceUnicode9.begin(), kMarksSinceUnicode9.end(), code_point,
                       [](char32_t value, const CodePoints& marks) { return value <= marks.last; });
  return range != kMarksSinceUnicode9.end() && code_point >= range->first;
}

// The one character since Unicode 9 that decomposes, and what it ends with, which composes with
// nothing else.
inline constexpr char32_t kComposedSinceUnicode9 = 0x11938;
inline constexpr char32_t kComposingSinceUnicode9 = 0x11930;

}  // namespace orthrus
