#include "cache/kv_pool.h"

#include <new>

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

KvPage KvPool::acquire() {
  if (!free_.empty()) {
    KvPage::Entry* const entry = free_.back();
    free_.pop_back();
    return KvPage(entry);
  }
  if (entries_.size() == max_pages_) return {};
  try {
    free_.reserve(entries_.size() + 1);  // so that release() cannot fail
    entries_.push_back({nullptr, this});
  } catch (const std::bad_alloc&) {
    return {};
  }
  std::byte* const data = memory_->make_page();
  if (data == nullptr) {
    entries_.pop_back();
    return {};
  }
  entries_.back().data = data;
  return KvPage(&entries_.back());
}

}  // namespace orthrus
