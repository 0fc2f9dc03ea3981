#pragma once

namespace orthrus {

// Positions in a page, and in an attention tile: the two are the same, so that where attention
// splits its sums is fixed by absolute positions alone.
inline constexpr int kPageSize = 64;

}  // namespace orthrus
