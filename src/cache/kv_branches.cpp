#include "cache/kv_branches.h"

#include <algorithm>
#include <new>

namespace orthrus {
namespace {

// The branch that a row is of, or none: the trunk.
const Branch* branch_of(std::span<const Branch> branches, int row) {
  const auto after = std::ranges::upper_bound(branches, row, {}, &Branch::first_row);
  return after == branches.begin() ? nullptr : &*(after - 1);
}

}  // namespace

int depth_of(std::span<const Branch> branches, int row) {
  const Branch* const branch = branch_of(branches, row);
  return branch == nullptr ? row : branch->depth + row - branch->first_row;
}

int parent_of(std::span<const Branch> branches, int row) {
  const Branch* const branch = branch_of(branches, row);
  return branch != nullptr && branch->first_row == row ? branch->parent : row - 1;
}

size_t KvBranches::pages_wanted(int length, std::span<const Branch> branches) {
  size_t pages = 0;
  for (const Branch& branch : branches) {
    const int first = length + branch.depth, last = first + branch.rows - 1;
    pages += static_cast<size_t>(last / kPageSize - first / kPageSize + 1);
  }
  return pages;
}

Status KvBranches::reserve(KvPool& pool, std::span<const KvPage> trunk, int length,
                           std::span<const Branch> branches) try {
  clear();
  first_page_ = static_cast<size_t>(length / kPageSize);
  paths_.resize(branches.size());
  for (size_t b = 0; b < branches.size(); ++b) add(pool, trunk, length, branches, b);
  return Status::kOk;
} catch (const std::bad_alloc&) {
  clear();
  return Status::kOutOfMemory;
}

void KvBranches::clear() {
  paths_.clear();
  copies_.clear();
}

// Throws std::bad_alloc where the pool has no page, too.
void KvBranches::add(KvPool& pool, std::span<const KvPage> trunk, int length,
                     std::span<const Branch> branches, size_t branch) {
  const Branch& own = branches[branch];
  Path& path = paths_[branch];
  const int first = length + own.depth;
  const auto page = static_cast<size_t>(first / kPageSize);
  const auto last = static_cast<size_t>((first + own.rows - 1) / kPageSize);
  // The page that a row of another branch, or of the trunk, was written to.
  const auto page_at = [&](const Branch* of, size_t index) -> const KvPage& {
    if (of == nullptr) return trunk[index];
    return paths_[static_cast<size_t>(of - branches.data())].pages[index - first_page_];
  };

  const Branch* const parent = branch_of(branches, own.parent);
  path.pages.reserve(last + 1 - first_page_);
  for (size_t i = first_page_; i < page; ++i) path.pages.push_back(page_at(parent, i));
  for (size_t i = page; i <= last; ++i) {
    path.pages.push_back(pool.acquire());
    if (!path.pages.back()) throw std::bad_alloc();
  }
  path.addresses.reserve(last + 1);
  for (size_t i = 0; i < first_page_; ++i) path.addresses.push_back(trunk[i].data());
  for (const KvPage& share : path.pages) path.addresses.push_back(share.data());

  // Up the path, what lies in the branch's first page, from where it was first written.
  std::byte* const to = path.addresses[page];
  const int begin = static_cast<int>(page) * kPageSize;
  int end = first, row = own.parent;
  while (end > begin) {
    const Branch* const of = branch_of(branches, row);
    const int from = of == nullptr ? begin : std::max(begin, length + of->depth);
    copies_.push_back({page_at(of, page).data(), to, from - begin, end - begin});
    end = from;
    if (of != nullptr) row = of->parent;
  }
}

}  // namespace orthrus
