// The keys and values of one sequence: pages, and how many of their positions are its own.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "cache/kv_branches.h"
#include "cache/kv_pool.h"
#include "orthrus/status.h"

namespace orthrus {

// The AR keys and values of a sequence's first length() positions. Whoever runs a pass reserves
// before it; the pass writes behind length(), as far as there is room; what is found right is
// committed. So the length changes in one place, and a page that is full is never written again:
// others may share it.
class KvSequence {
 public:
  explicit KvSequence(KvPool& pool) : pool_(&pool) {}
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&&) = delete;

  int length() const { return length_; }
  int room() const { return static_cast<int>(pages_.size()) * kPageSize - length_; }
  // How many pages `count` more positions need that it has not.
  size_t pages_missing(int count) const;

  // Makes room for `count` more positions: kOutOfMemory, and no change, when the pool is exhausted.
  Status reserve(int count);

  // The next `count` positions, reserved before, have been written and are its own.
  void commit(int count) { length_ += count; }

  // Gives the branches of a tree behind its positions their pages; there is room for the trunk's
  // rows already. kOutOfMemory, and no branches, when there is too little.
  Status reserve_branches(std::span<const Branch> branches);
  const KvBranches& branches() const { return branches_; }
  // Takes the path that this branch ends as its own, in place of the trunk, or, with none, keeps
  // the trunk. What is right of it is still to be committed. There are no branches then.
  void take_branch(std::optional<size_t> branch);

  // Begins with these pages, of which `length` positions are its own; the last page, where it is
  // not full, must be its alone. It must be empty. Throws std::bad_alloc, and it stays empty.
  void adopt(std::vector<KvPage> pages, int length);

  // Forgets all, and gives its pages back.
  void clear();

  const std::vector<KvPage>& shares() const { return pages_; }
  std::byte* const* pages() const { return addresses_.data(); }
  // How many there are.
  size_t page_count() const { return pages_.size(); }

 private:
  KvPool* pool_;
  std::vector<KvPage> pages_;
  std::vector<std::byte*> addresses_;  // of pages_, as passes want them
  KvBranches branches_;
  int length_ = 0;
};

}  // namespace orthrus
