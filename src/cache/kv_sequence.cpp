#include "cache/kv_sequence.h"

#include <utility>

#include "base/ceil_div.h"

namespace orthrus {

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      pages_(std::move(other.pages_)),
      addresses_(std::move(other.addresses_)),
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
  length_ = 0;
}

}  // namespace orthrus
