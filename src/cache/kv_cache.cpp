#include "cache/kv_cache.h"

#include <new>
#include <utility>

namespace orthrus {

namespace {

class OpsPages final : public PageMemory {
 public:
  OpsPages(const Ops& ops, const KvLayout& layout)
      : ops_(&ops), floats_((layout.page_bytes() + sizeof(float) - 1) / sizeof(float)) {}

  std::byte* make_page() override try {
    return reinterpret_cast<std::byte*>(pages_.emplace_back(ops_->allocate(floats_)).get());
  } catch (const std::bad_alloc&) {
    return nullptr;
  }

 private:
  const Ops* ops_;
  size_t floats_;
  std::vector<Buffer> pages_;
};

}  // namespace

KvPool::KvPool(std::unique_ptr<PageMemory> memory, size_t max_pages)
    : memory_(std::move(memory)), max_pages_(max_pages) {}

KvPool::KvPool(const Ops& ops, const KvLayout& layout, size_t max_pages)
    : KvPool(std::make_unique<OpsPages>(ops, layout), max_pages) {}

std::byte* KvPool::acquire() {
  if (!free_.empty()) {
    std::byte* page = free_.back();
    free_.pop_back();
    return page;
  }
  if (made_ == max_pages_) return nullptr;
  try {
    free_.reserve(made_ + 1);  // so that release() cannot fail
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  std::byte* const page = memory_->make_page();
  if (page != nullptr) ++made_;
  return page;
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
