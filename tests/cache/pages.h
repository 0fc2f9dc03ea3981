// Pages for tests of the cache, which nobody looks into.
#pragma once

#include <deque>
#include <memory>

#include "cache/kv_pool.h"

namespace orthrus {

class TestPages final : public PageMemory {
 public:
  explicit TestPages(size_t most) : most_(most) {}
  std::byte* make_page() override {
    return pages_.size() < most_ ? &pages_.emplace_back() : nullptr;
  }

 private:
  size_t most_;
  std::deque<std::byte> pages_;
};

// At most `pages`, of which memory has no more than `memory`.
inline KvPool test_pool(size_t pages, size_t memory = 1 << 20) {
  return KvPool(std::make_unique<TestPages>(memory), pages);
}

}  // namespace orthrus
