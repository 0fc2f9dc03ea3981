#include "tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace orthrus {
namespace {

std::array<int32_t, 256> bytes_themselves() {
  std::array<int32_t, 256> ids;
  for (int byte = 0; byte < 256; ++byte) ids[static_cast<size_t>(byte)] = byte;
  return ids;
}

std::vector<int32_t> encode(const std::vector<Bpe::Merge>& merges, std::string_view piece) {
  const Bpe bpe(bytes_themselves(), merges);
  Bpe::Scratch scratch;
  std::vector<int32_t> ids;
  bpe.encode(piece, scratch, ids);
  return ids;
}

// The definition: while some pair of neighbours can be merged, merge the best-ranked, leftmost one.
std::vector<int32_t> encode_by_definition(const std::vector<Bpe::Merge>& merges,
                                          std::string_view piece) {
  std::vector<int32_t> ids;
  for (const char c : piece) ids.push_back(static_cast<unsigned char>(c));
  for (;;) {
    size_t best_rank = merges.size();
    size_t best = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left != ids[i] || merges[rank].right != ids[i + 1]) continue;
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == merges.size()) return ids;
    ids[best] = merges[best_rank].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, MergesTheBestRankedPairFirst) {
  const std::vector<Bpe::Merge> merges = {{'b', 'c', 256}, {'a', 'b', 257}, {'a', 256, 258}};
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(encode(merges, ""), Ids());
  EXPECT_EQ(encode(merges, "b"), Ids({'b'}));
  EXPECT_EQ(encode(merges, "ab"), Ids({257}));
  EXPECT_EQ(encode(merges, "abc"), Ids({258}));  // bc first
  EXPECT_EQ(encode(merges, "abab"), Ids({257, 257}));
  EXPECT_EQ(encode(merges, "abcab"), Ids({258, 257}));
  EXPECT_EQ(encode({}, "abc"), Ids({'a', 'b', 'c'}));
}

TEST(Bpe, MergesTheLeftmostOfEqualPairsFirst) {
  EXPECT_EQ(encode({{'a', 'a', 256}}, "aaaaa"), std::vector<int32_t>({256, 256, 'a'}));
}

TEST(Bpe, AgreesWithTheDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Bpe::Merge> merges;
    std::vector<std::pair<int32_t, std::string>> tokens = {{'a', "a"}, {'b', "b"}, {'c', "c"}};
    std::set<std::string> known = {"a", "b", "c"};
    while (merges.size() < 25) {
      const auto& left = tokens[random() % tokens.size()];
      const auto& right = tokens[random() % tokens.size()];
      const std::string text = left.second + right.second;
      if (!known.insert(text).second) continue;
      const auto id = static_cast<int32_t>(256 + merges.size());
      merges.push_back({left.first, right.first, id});
      tokens.emplace_back(id, text);
    }
    std::shuffle(merges.begin(), merges.end(), random);
    std::string piece(random() % 50, 'a');
    for (char& c : piece) c = static_cast<char>('a' + random() % 3);
    ASSERT_EQ(encode(merges, piece), encode_by_definition(merges, piece)) << piece;
  }
}

}  // namespace
}  // namespace orthrus
