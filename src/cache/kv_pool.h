// The pages that keys and values lie in, counted: each is free, or somebody's.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/ops.h"

namespace orthrus {

// Where pages come from. An address serves to tell pages apart; only whoever runs the passes looks
// at what lies there.
class PageMemory {
 public:
  virtual ~PageMemory() = default;
  // One more page; null when memory is exhausted. Pages go with the PageMemory.
  virtual std::byte* make_page() = 0;
};

class KvPool;

// A share in a page, which is free again when the last one is gone. Copying takes another share.
class KvPage {
 public:
  KvPage() = default;
  KvPage(const KvPage& other) : entry_(other.entry_) {
    if (entry_ != nullptr) ++entry_->holders;
  }
  KvPage(KvPage&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  KvPage& operator=(KvPage other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~KvPage();

  explicit operator bool() const { return entry_ != nullptr; }
  std::byte* data() const { return entry_->data; }
  int holders() const { return entry_->holders; }
  bool operator==(const KvPage&) const = default;

 private:
  friend class KvPool;
  struct Entry {
    std::byte* data;
    KvPool* pool;
    int holders = 0;
  };
  explicit KvPage(Entry* entry) : entry_(entry) { ++entry_->holders; }
  Entry* entry_ = nullptr;
};

// Makes pages when they are first needed, and keeps them for the next one who asks. Must outlive
// the shares in them. Not thread-safe.
class KvPool {
 public:
  // At most max_pages pages at a time.
  KvPool(std::unique_ptr<PageMemory> memory, size_t max_pages);
  // Of this layout, in memory of `ops`, which must outlive the pool.
  KvPool(const Ops& ops, const KvLayout& layout, size_t max_pages);

  // None when all are held, or memory is exhausted. A page's content is whatever its last holder
  // left there.
  KvPage acquire();

  size_t max_pages() const { return max_pages_; }
  size_t held() const { return entries_.size() - free_.size(); }
  size_t available() const { return max_pages_ - held(); }

 private:
  friend class KvPage;
  void release(KvPage::Entry* entry) { free_.push_back(entry); }

  std::unique_ptr<PageMemory> memory_;
  size_t max_pages_;
  std::deque<KvPage::Entry> entries_;
  std::vector<KvPage::Entry*> free_;
};

inline KvPage::~KvPage() {
  if (entry_ != nullptr && --entry_->holders == 0) entry_->pool->release(entry_);
}

}  // namespace orthrus
