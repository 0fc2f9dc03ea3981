// The paged KV cache: a pool of pages, and sequences that borrow them.
#pragma once

#include <vector>

#include "kernels/ops.h"
#include "orthrus/status.h"

namespace orthrus {

// Pages of one layout, made when first needed and kept for the next sequence. Not thread-safe.
class KvPool {
 public:
  // At most max_pages pages at a time. `ops` must outlive the pool.
  KvPool(const Ops& ops, const KvLayout& layout, size_t max_pages);

  const KvLayout& layout() const { return layout_; }

  // Null when max_pages are lent out, or memory is exhausted. A page's content is whatever its last
  // owner left there.
  std::byte* acquire();
  void release(std::byte* page);

 private:
  const Ops* ops_;
  KvLayout layout_;
  size_t max_pages_;
  std::vector<Buffer> pages_;
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
