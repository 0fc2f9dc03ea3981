// What is asked of a whole row of logits (logits.cpp). The same bits on every instruction set.
#pragma once

#include <cstddef>
#include <span>

namespace orthrus::cpu {

inline constexpr size_t kLogitTile = 512;

// The largest of each kLogitTile logits; the last tile may be shorter: `largest` has
// ceil(row.size() / kLogitTile) of them. False where a logit is not finite.
bool largest_of_tiles(std::span<const float> row, std::span<float> largest);

// The sum of exp(x - most) over a row; `most` is its largest.
double sum_of_exp(std::span<const float> row, float most);

}  // namespace orthrus::cpu
