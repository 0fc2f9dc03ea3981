// What the cache still knows: pages by the tokens up to their end.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/kv_pool.h"
#include "cache/kv_sequence.h"

namespace orthrus {

// A tree whose paths are texts, a page's worth of tokens a node; a leaf may have fewer. A page's
// bits are a function of the tokens up to its end (docs/exactness.md), so any sequence that begins
// with a path's tokens may begin with its pages, and comes out as it would without. Nodes are told
// apart by their tokens themselves, not by a hash of them.
//
// What was not used for longest goes first. A page that a sequence holds too is not given back by
// forgetting it, and stays, unless it is in the way of one that is. Not thread-safe.
class PrefixIndex {
 public:
  // Keeps at most `most_pages` pages.
  explicit PrefixIndex(size_t most_pages) : most_pages_(most_pages) {}
  PrefixIndex(const PrefixIndex&) = delete;
  PrefixIndex& operator=(const PrefixIndex&) = delete;

  // The longest beginning of a text that is known.
  struct Match {
    std::vector<KvPage> full;  // that are shared as they are
    KvPage partial;            // that is to be copied, or none
    int partial_length = 0;    // positions of it that match

    int length() const { return static_cast<int>(full.size()) * kPageSize + partial_length; }
  };
  // Texts of different salts know nothing of each other. Throws std::bad_alloc.
  Match find(std::string_view salt, std::span<const int32_t> tokens);

  // Remembers the keys and values of `sequence`, which are those of `tokens`
  // [sequence.length()]; the sequence may go on. Where memory fails, less is remembered.
  void insert(std::string_view salt, std::span<const int32_t> tokens, const KvSequence& sequence);

  // Forgets what was not used for longest until so many pages are free that were not, or nothing
  // is left that only it holds; returns how many.
  size_t evict(size_t pages);

  size_t pages() const { return nodes_.size(); }
  // Of those, pages that evict() could free now. Looks at all of them.
  size_t evictable() const;

 private:
  struct Node;
  struct Less {
    using is_transparent = void;
    bool operator()(std::span<const int32_t> a, std::span<const int32_t> b) const;
  };
  using Children = std::map<std::vector<int32_t>, std::unique_ptr<Node>, Less>;
  struct Node {
    Node* parent = nullptr;
    std::string_view salt;  // of a node without a parent
    KvPage page;
    Children children{};
    Children::iterator self{};
    std::list<Node*>::iterator use{};
  };
  Children& siblings_of(const Node& node);
  Node* add(Children& children, Node* parent, std::string_view salt,
            std::span<const int32_t> tokens, const KvPage& page);
  void forget(Node& node);
  static bool bars(const Node& leaf);
  void touch(Node* leaf);

  size_t most_pages_;
  std::map<std::string, Children, std::less<>> roots_;  // by salt
  // All, what was not used for longest first. A text's nodes are touched from its end to its
  // beginning: no node is older than what follows it.
  std::list<Node*> nodes_;
};

}  // namespace orthrus
