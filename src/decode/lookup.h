// Drafts out of the text itself: what followed where the same tokens stood before. They cost no
// pass, and are good where a text repeats or quotes itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace orthrus {

// What followed at the place that was found.
struct LookupDrafts {
  std::span<const int32_t> tokens;  // none where nothing was found
  int match = 0;      // so many tokens before it are the text's last ones: 1..kMostMatch
  bool near = false;  // it goes on a little behind where the text was copied before
};

// An index of the places of a text that grows.
//
// A text that is copied with changes goes on, after each, a little behind the place where it left
// off: there a single token that is the same says more than two do anywhere else.
class Lookup {
 public:
  static constexpr int kLeastMatch = 2;  // where the text was not copied before
  static constexpr int kMostMatch = 32;  // of longer ones it is not known how long they are
  static constexpr int kMostDrafts = 31;

  // For texts of up to so many tokens, with about 12 bytes for each. Throws std::bad_alloc; nothing
  // that comes later does.
  explicit Lookup(int most_tokens);

  // Up to `most` drafts of what follows `text`, which begins with the text of the call before:
  // after the longest match, of equally long ones the one that is near, or else the last. Where
  // what followed has not been written to its end, the drafts repeat themselves. Valid until the
  // next call.
  LookupDrafts find(std::span<const int32_t> text, int most);

 private:
  // Of the pair of tokens that ends at this position.
  size_t bucket(std::span<const int32_t> text, int end) const;
  void index(std::span<const int32_t> text);
  void follow(std::span<const int32_t> text);

  std::vector<int32_t> last_;     // [bucket]: where its last pair ends; -1: nowhere
  std::vector<int32_t> earlier_;  // [position]: where the pair of its bucket before ends
  int indexed_ = 1;               // pairs that end before it are
  std::vector<int32_t> drafts_;
  // Of the call before: the length of its text, and of what it found. A place is that of the last
  // token of a match; -1: none.
  int size_ = 0, place_ = -1, match_ = 0;
  bool near_ = false;
  int source_ = -1;  // the token behind what was last copied
};

}  // namespace orthrus
