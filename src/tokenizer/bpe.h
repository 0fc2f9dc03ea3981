// Byte-pair encoding: merges neighbouring symbols, the best-ranked pair first.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace orthrus {

class Bpe {
 public:
  struct Merge {
    int32_t left;
    int32_t right;
    int32_t result;
  };

  // What encode works in, kept between calls to save allocations.
  class Scratch {
    friend class Bpe;
    struct Symbol {
      int32_t id;  // -1: merged into the one before
      int32_t previous;
      int32_t next;
    };
    struct Candidate {
      int32_t rank;
      int32_t position;  // of the left symbol
      int32_t result;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> queue;  // a heap, the lowest rank on top, then the leftmost
  };

  // `merges` in the order of their ranks, no pair twice, ids at least 0.
  Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges);

  // Appends the ids of one piece of text, of less than 2 GiB. O(n log n).
  void encode(std::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const;

 private:
  struct Rule {
    int32_t right;
    int32_t rank;
    int32_t result;
  };

  const Rule* find(int32_t left, int32_t right) const;
  void offer(Scratch& scratch, int32_t position) const;

  std::array<int32_t, 256> byte_ids_;
  // Grouped by the left id, and each group sorted by the right one: about as fast as a hash map
  // here, and no vocabulary can be made to collide.
  std::vector<Rule> rules_;
  std::vector<uint32_t> group_;  // rules_[group_[left]...group_[left + 1])
};

}  // namespace orthrus
