#include "decode/draft_vocabulary.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace orthrus {
namespace {

constexpr int kVocabulary = 151936, kSpecial = 151643;

std::vector<int32_t> text(int count, int32_t id, int others, int32_t other) {
  std::vector<int32_t> ids(static_cast<size_t>(count), id);
  for (int i = 0; i < others; ++i) ids[static_cast<size_t>(i * count / others)] = other;
  return ids;
}

int of(const std::vector<int32_t>& ids) {
  return draft_vocabulary(ids, kSpecial, kVocabulary);
}

TEST(DraftVocabulary, HoldsAllButFewTokensOfTheText) {
  EXPECT_EQ(of(text(256, 300, 0, 0)), 16384);
  EXPECT_EQ(of(text(256, 300, 2, 16384)), 16384);
  EXPECT_EQ(of(text(256, 300, 3, 16384)), 32768);
  EXPECT_EQ(of(text(256, 300, 3, 98303)), 98304);
  EXPECT_EQ(of(text(127, 300, 1, 50000)), 65536) << "one of few tokens is not few";
  EXPECT_EQ(of(text(128, 300, 1, 50000)), 16384);
}

TEST(DraftVocabulary, IsAllWhereTheTextSaysSoOrNothing) {
  EXPECT_EQ(of({}), kVocabulary);
  EXPECT_EQ(of({kSpecial, kSpecial + 1, kVocabulary - 1}), kVocabulary);
  EXPECT_EQ(of(text(256, 120000, 200, 149000)), kVocabulary);
  EXPECT_EQ(draft_vocabulary(text(256, 300, 0, 0), kSpecial, 4096), 4096);
}

TEST(DraftVocabulary, DoesNotCountWhatChatFormatsPutBetweenTexts) {
  EXPECT_EQ(of(text(40, 300, 6, kSpecial + 1)), 16384);
  constexpr int32_t kNone = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(draft_vocabulary(text(40, 300, 6, kSpecial + 1), kNone, kVocabulary), kVocabulary);
}

TEST(DraftVocabulary, FollowsTheTextAsItChanges) {
  std::vector<int32_t> ids = text(1000, 120000, 0, 0);
  EXPECT_EQ(of(ids), 131072);
  ids.insert(ids.end(), 255, 300);
  EXPECT_EQ(of(ids), 16384);
}

}  // namespace
}  // namespace orthrus
