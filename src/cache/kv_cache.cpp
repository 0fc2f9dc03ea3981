#include "cache/kv_cache.h"

#include <new>
#include <utility>

namespace orthrus {

KvPool::KvPool(const Ops& ops, const KvLayout& layout, size_t max_pages)
    : ops_(&ops), layout_(layout), max_pages_(max_pages) {}

std::byte* KvPool::acquire() {
  if (!free_.empty()) {
    std::byte* page = free_.back();
    free_.pop_back();
    return page;
  }
  if (pages_.size() == max_pages_) return nullptr;
  try {
    free_.reserve(pages_.size() + 1);  // so that release() cannot fail
    pages_.push_back(ops_->allocate((layout_.page_bytes() + sizeof(float) - 1) / sizeof(float)));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  return reinterpret_cast<std::byte*>(pages_.back().get());
}

void KvPool::release(std::byte* page) {
  free_.push_back(page);
}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      pages_(std::move(other.pages_)),
      length_(std::exchange(other.length_, 0)) {
  other.pages_.clear();
}

Status KvSequence::reserve(int count) {
  const size_t needed = static_cast<size_t>(length_ + count + kPageSize - 1) / kPageSize;
  const size_t had = pages_.size();
  pages_.reserve(needed);
  while (pages_.size() < needed) {
    std::byte* page = pool_->acquire();
    if (page == nullptr) {
      for (; pages_.size() > had; pages_.pop_back()) pool_->release(pages_.back());
      return Status::kOutOfMemory;
    }
    pages_.push_back(page);
  }
  return Status::kOk;
}

void KvSequence::crop(int length) {
  length_ = length;
  const size_t kept = static_cast<size_t>(length + kPageSize - 1) / kPageSize;
  for (; pages_.size() > kept; pages_.pop_back()) pool_->release(pages_.back());
}

}  // namespace orthrus
