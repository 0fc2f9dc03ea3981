// The nodes of a tree of drafts, as a device that grows one tells of them.
#pragma once

#include <cstdint>

namespace orthrus {

inline constexpr int kMostTreeNodes = 128;  // the root included

// A node. Those that joined the tree before it are in front of it.
struct TreeNode {
  int32_t token = 0;
  float confidence = 0;  // how sure its row is of it, given the token before
  int16_t parent = -1;   // -1: the anchor
  int16_t rank = 0;      // among what its row would have there
};

}  // namespace orthrus
