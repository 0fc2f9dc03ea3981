// The paged KV cache: a pool of pages, and sequences that borrow them.
#pragma once

#include <memory>
#include <vector>

#include "kernels/ops.h"
#include "orthrus/status.h"

namespace orthrus {

// Where pages come from. An address serves to tell pages apart; only whoever runs the passes looks
// at what lies there.
class PageMemory {
 public:
  virtual ~PageMemory() = default;
  // One more page; null when memory is exhausted. Pages go with the PageMemory.
  virtual std::byte* make_page() = 0;
};

// Pages, made when first needed and kept for the next sequence. Not thread-safe.
class KvPool {
 public:
  // At most max_pages pages at a time.
  KvPool(std::unique_ptr<PageMemory> memory, size_t max_pages);
  // Of this layout, in memory of `ops`, which must outlive the pool.
  KvPool(const Ops& ops, const KvLayout& layout, size_t max_pages);

  // Null when max_pages are lent out, or memory is exhausted. A page's content is whatever its last
  // owner left there.
  std::byte* acquire();
  void release(std::byte* page);

 private:
  std::unique_ptr<PageMemory> memory_;
  size_t max_pages_;
  size_t made_ = 0;
  std::vector<std::byte*> free_;
};

// The AR keys and values of one sequence's first length() positions. Returns its pages when it is
// destroyed. Move-only.
class KvSequence {
 public:
  explicit KvSequence(KvPool& pool) : pool_(&pool) {}
  ~KvSequence() { crop(0); }
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&&) = delete;

  int length() const { return length_; }

  // Makes room for `count` more positions: kOutOfMemory, and no change, when the pool is exhausted.
  Status reserve(int count);

  // The next `count` positions, reserved before, have been written.
  void extend(int count) { length_ += count; }

  // Forgets the positions from `length` on.
  void crop(int length);

  std::byte* const* pages() const { return pages_.data(); }

 private:
  KvPool* pool_;
  std::vector<std::byte*> pages_;
  int length_ = 0;
};

}  // namespace orthrus
