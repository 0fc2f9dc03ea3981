// Finds tokens by their text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace orthrus {

// A sorted list rather than a hash map: no vocabulary can be made to collide.
class TokenIndex {
 public:
  TokenIndex() = default;
  explicit TokenIndex(size_t count) { entries_.reserve(count); }

  // `text` must outlive the index.
  void add(std::string_view text, int32_t id);

  // To be called once, after the last add. Returns a text that was added twice, if any.
  std::optional<std::string_view> sort();

  std::optional<int32_t> find(std::string_view text) const;

 private:
  struct Entry {
    uint64_t start;  // the first 8 bytes, big-endian: they decide most comparisons
    std::string_view text;
    int32_t id;
    bool operator<(const Entry& other) const {
      return start != other.start ? start < other.start : text < other.text;
    }
  };
  static Entry make_entry(std::string_view text, int32_t id);

  std::vector<Entry> entries_;
};

}  // namespace orthrus
