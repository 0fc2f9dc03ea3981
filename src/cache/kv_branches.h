// The keys and values of a draft tree: each path has pages of its own where it leaves another one.
#pragma once

#include <span>
#include <vector>

#include "cache/kv_pool.h"
#include "kernels/ops.h"
#include "orthrus/status.h"

namespace orthrus {

// Rows of a span, [first_row, first_row + rows), that follow each other, the first of them behind
// row `parent`, which comes before them. Row 0 stands `depth` positions before the first one.
//
// The rows before the first branch's are the trunk. Branches lie one after the other behind it.
struct Branch {
  int parent = 0;
  int first_row = 0;
  int rows = 0;
  int depth = 1;

  bool operator==(const Branch&) const = default;
};

// How far a row stands behind row 0.
int depth_of(std::span<const Branch> branches, int row);
// The row that comes before this one on its path; not of row 0.
int parent_of(std::span<const Branch> branches, int row);

// The pages of the branches of a tree that stands behind `length` positions of a sequence. A branch
// shares what comes before it with its path, whole pages as they are. From the page of its first
// position on its pages are its own; what comes before it there is copied by the pass that writes
// its rows.
class KvBranches {
 public:
  // How many pages they have of their own.
  static size_t pages_wanted(int length, std::span<const Branch> branches);

  // `trunk` are the sequence's pages, with room for the trunk's rows. kOutOfMemory where there are
  // no pages or is no memory for them: there are no branches then.
  Status reserve(KvPool& pool, std::span<const KvPage> trunk, int length,
                 std::span<const Branch> branches);
  void clear();

  // As an attention span has them: page i holds positions [64 i, 64 i + 64) of the branch's path.
  std::byte* const* pages(size_t branch) const { return paths_[branch].addresses.data(); }
  // From the page first_page() on, the last of them the one of the branch's last row.
  std::span<KvPage> shares(size_t branch) { return paths_[branch].pages; }
  size_t first_page() const { return first_page_; }  // that of row 0

  // What paths have before their branch in its first page, once all rows are written.
  std::span<const SlotCopy> copies() const { return copies_; }

 private:
  struct Path {
    std::vector<KvPage> pages;
    std::vector<std::byte*> addresses;
  };
  void add(KvPool& pool, std::span<const KvPage> trunk, int length,
           std::span<const Branch> branches, size_t branch);

  std::vector<Path> paths_;
  std::vector<SlotCopy> copies_;
  size_t first_page_ = 0;
};

}  // namespace orthrus
