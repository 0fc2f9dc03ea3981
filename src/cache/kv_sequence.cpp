#include "cache/kv_sequence.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/ceil_div.h"

namespace orthrus {

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      pages_(std::move(other.pages_)),
      addresses_(std::move(other.addresses_)),
      branches_(std::move(other.branches_)),
      length_(std::exchange(other.length_, 0)) {
  other.clear();
}

size_t KvSequence::pages_missing(int count) const {
  const auto needed = static_cast<size_t>(ceil_div(length_ + count, kPageSize));
  return needed > pages_.size() ? needed - pages_.size() : 0;
}

Status KvSequence::reserve(int count) {
  const size_t had = pages_.size(), needed = had + pages_missing(count);
  pages_.reserve(needed);
  addresses_.reserve(needed);
  while (pages_.size() < needed) {
    KvPage page = pool_->acquire();
    if (!page) {
      pages_.resize(had);
      addresses_.resize(had);
      return Status::kOutOfMemory;
    }
    addresses_.push_back(page.data());
    pages_.push_back(std::move(page));
  }
  return Status::kOk;
}

Status KvSequence::reserve_branches(std::span<const Branch> branches) try {
  size_t most = pages_.size();
  for (const Branch& branch : branches) {
    const int end = length_ + branch.depth + branch.rows;
    most = std::max(most, static_cast<size_t>(ceil_div(end, kPageSize)));
  }
  pages_.reserve(most);  // so that take_branch() cannot fail
  addresses_.reserve(most);
  return branches_.reserve(*pool_, pages_, length_, branches);
} catch (const std::bad_alloc&) {
  branches_.clear();
  return Status::kOutOfMemory;
}

void KvSequence::take_branch(std::optional<size_t> branch) {
  if (branch) {
    const std::span<KvPage> shares = branches_.shares(*branch);
    for (size_t i = 0; i < shares.size(); ++i) {
      const size_t at = branches_.first_page() + i;
      if (at == pages_.size()) {
        addresses_.push_back(shares[i].data());
        pages_.push_back(shares[i]);
      } else {
        addresses_[at] = shares[i].data();
        pages_[at] = shares[i];
      }
    }
  }
  branches_.clear();
}

void KvSequence::adopt(std::vector<KvPage> pages, int length) {
  std::vector<std::byte*> addresses;
  addresses.reserve(pages.size());
  for (const KvPage& page : pages) addresses.push_back(page.data());
  pages_ = std::move(pages);
  addresses_ = std::move(addresses);
  length_ = length;
}

void KvSequence::clear() {
  pages_.clear();
  addresses_.clear();
  branches_.clear();
  length_ = 0;
}

}  // namespace orthrus
