#include "decode/lookup.h"

#include <algorithm>
#include <bit>

namespace orthrus {
namespace {

// Places that are looked at in one call, the last ones first.
constexpr int kMostTried = 1024;
constexpr int kNear = 8;    // tokens behind the last copied one
constexpr int kCopied = 3;  // tokens that are the same, in a row, are a copy

// How many tokens up to `a` are those up to `b`, which is behind it.
int match_length(std::span<const int32_t> text, int a, int b) {
  const int most = std::min(a + 1, Lookup::kMostMatch);
  int length = 0;
  while (length < most &&
         text[static_cast<size_t>(a - length)] == text[static_cast<size_t>(b - length)]) {
    ++length;
  }
  return length;
}

}  // namespace

Lookup::Lookup(int most_tokens)
    : last_(std::bit_ceil(static_cast<size_t>(std::max(most_tokens, 1))), -1) {
  earlier_.reserve(static_cast<size_t>(std::max(most_tokens, 1)));
  earlier_.push_back(-1);
  drafts_.reserve(kMostDrafts);
}

size_t Lookup::bucket(std::span<const int32_t> text, int end) const {
  const auto token = [&](int at) { return static_cast<uint32_t>(text[static_cast<size_t>(at)]); };
  const uint64_t pair = uint64_t{token(end - 1)} << 32 | token(end);
  return (pair * 0x9e3779b97f4a7c15u >> 32) & (last_.size() - 1);
}

void Lookup::index(std::span<const int32_t> text) {
  for (; indexed_ + 1 < static_cast<int>(text.size()); ++indexed_) {
    int32_t& last = last_[bucket(text, indexed_)];
    earlier_.push_back(last);
    last = indexed_;
  }
}

// How far the text went on as it did at the place of the call before.
void Lookup::follow(std::span<const int32_t> text) {
  if (place_ < 0) return;
  int right = 0;
  while (size_ + right < static_cast<int>(text.size()) &&
         text[static_cast<size_t>(place_ + 1 + right)] ==
             text[static_cast<size_t>(size_ + right)]) {
    ++right;
  }
  if (match_ + right >= kCopied || (near_ && right > 0)) source_ = place_ + 1 + right;
}

LookupDrafts Lookup::find(std::span<const int32_t> text, int most) {
  drafts_.clear();
  const int size = static_cast<int>(text.size());
  if (size < kLeastMatch) return {};
  index(text);  // all but the last pair, which would find itself
  if (size > size_) follow(text);
  size_ = size;
  int place = -1, match = 0;
  for (int at = source_; at >= 0 && at < std::min(source_ + kNear, size - 1); ++at) {
    const int length = match_length(text, at, size - 1);
    if (length > match) {
      place = at;
      match = length;
    }
  }
  near_ = place >= 0;
  match = std::max(match, kLeastMatch - 1);
  int tried = 0;
  for (int at = last_[bucket(text, size - 1)]; at >= 0 && tried < kMostTried && match < kMostMatch;
       at = earlier_[static_cast<size_t>(at)], ++tried) {
    const int length = match_length(text, at, size - 1);
    if (length > match) {
      place = at;
      match = length;
      near_ = false;
    }
  }
  place_ = place;
  match_ = match;
  if (place < 0) return {};
  for (int i = 0; i < std::min(most, kMostDrafts); ++i) {
    const auto next = static_cast<size_t>(place + 1 + i);
    drafts_.push_back(next < text.size() ? text[next] : drafts_[next - text.size()]);
  }
  return {drafts_, match, near_};
}

}  // namespace orthrus
