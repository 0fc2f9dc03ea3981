// The largest numbers that a configuration may have, whichever file it comes from: far above any
// model, and low enough for products of two or three of them to fit 64 bits.
#pragma once

namespace orthrus::limits {

inline constexpr int kVocab = 1 << 24;
inline constexpr int kHidden = 1 << 17;
inline constexpr int kIntermediate = 1 << 19;
inline constexpr int kLayers = 1024;
inline constexpr int kHeads = 1024;
inline constexpr int kHeadDim = 1024;
inline constexpr int kPositions = 1 << 24;
inline constexpr int kBlock = 1024;
inline constexpr int kPairRank = 1024;

}  // namespace orthrus::limits
