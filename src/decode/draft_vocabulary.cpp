#include "decode/draft_vocabulary.h"

#include <algorithm>
#include <array>

namespace orthrus {
namespace {

constexpr size_t kLast = 256;                // tokens that are looked at
constexpr int kStep = 16384;                 // ids that are left out together
constexpr std::ptrdiff_t kMostMissed = 128;  // of so many tokens one may be outside

}  // namespace

int draft_vocabulary(std::span<const int32_t> text, int special, int vocab_size) {
  std::array<int32_t, kLast> ids;
  const auto end =
      std::ranges::copy_if(text.last(std::min(text.size(), kLast)), ids.begin(), [=](int32_t id) {
        return id < special;
      }).out;
  const std::ptrdiff_t count = end - ids.begin();
  if (count == 0) return vocab_size;
  const auto largest = end - 1 - count / kMostMissed;
  std::nth_element(ids.begin(), largest, end);
  return std::min((*largest / kStep + 1) * kStep, vocab_size);
}

}  // namespace orthrus
