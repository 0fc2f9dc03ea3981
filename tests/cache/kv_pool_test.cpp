#include "cache/kv_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "cache/pages.h"
#include "support/fresh_seed.h"

namespace orthrus {
namespace {

TEST(KvPool, LendsEachPageOnceAndHasItBackWhenTheLastShareIsGone) {
  KvPool pool = test_pool(2);
  EXPECT_EQ(pool.available(), 2u);
  KvPage a = pool.acquire(), b = pool.acquire();
  ASSERT_TRUE(a && b);
  EXPECT_NE(a.data(), b.data());
  EXPECT_FALSE(pool.acquire());
  EXPECT_EQ(pool.held(), 2u);
  std::byte* const address = a.data();
  KvPage copy = a;
  EXPECT_EQ(a.holders(), 2);
  a = {};
  EXPECT_FALSE(pool.acquire()) << "the copy still holds it";
  KvPage moved = std::move(copy);
  EXPECT_EQ(moved.holders(), 1);
  moved = {};
  EXPECT_EQ(pool.available(), 1u);
  EXPECT_EQ(pool.acquire().data(), address);
}

TEST(KvPool, IsExhaustedWhereMemoryIs) {
  KvPool pool = test_pool(10, 3);
  std::vector<KvPage> held;
  for (int i = 0; i < 3; ++i) held.push_back(pool.acquire());
  EXPECT_FALSE(pool.acquire());
  EXPECT_EQ(pool.held(), 3u);
  held.pop_back();
  EXPECT_TRUE(pool.acquire());
}

TEST(KvPool, CountsWhateverSharesDo) {
  std::mt19937 random(test::fresh_seed());
  KvPool pool = test_pool(20);
  std::vector<KvPage> shares;
  for (int i = 0; i < 3000; ++i) {
    const size_t at = shares.empty() ? 0 : random() % shares.size();
    switch (random() % 4) {
      case 0:
        if (KvPage page = pool.acquire()) shares.push_back(std::move(page));
        break;
      case 1:
        if (!shares.empty()) shares.push_back(KvPage(shares[at]));
        break;
      case 2:
        if (!shares.empty()) shares[at] = shares[random() % shares.size()];
        break;
      default:
        if (!shares.empty()) shares.erase(shares.begin() + static_cast<std::ptrdiff_t>(at));
    }
    std::multiset<std::byte*> held;
    for (const KvPage& share : shares) held.insert(share.data());
    for (const KvPage& share : shares) {
      ASSERT_EQ(static_cast<size_t>(share.holders()), held.count(share.data()));
    }
    ASSERT_EQ(pool.held(), std::set(held.begin(), held.end()).size());
  }
}

}  // namespace
}  // namespace orthrus
