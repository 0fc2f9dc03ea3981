#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "orthrus/tokenizer.h"
#include "tokenizer/small_tokenizer.h"
#include "tokenizer/utf8.h"

namespace orthrus {
namespace {

using nlohmann::json;

TEST(StreamDecoder, HoldsBackWhatMayBecomeACharacter) {
  const Tokenizer tokenizer = test::parse(test::small_tokenizer());
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.put(259), "hello");
  EXPECT_EQ(decoder.put(0xf0), "");
  EXPECT_EQ(decoder.put(0x9f), "");
  EXPECT_EQ(decoder.put(0x98), "");
  EXPECT_EQ(decoder.put(0x80), "\U0001f600");
  EXPECT_EQ(decoder.put(0xe4), "");
  EXPECT_EQ(decoder.put(0xb8), "");
  EXPECT_EQ(decoder.put('x'), "\ufffdx");  // it did not become one
  EXPECT_EQ(decoder.put(0xe4), "");
  EXPECT_EQ(decoder.put(0xc3), "\ufffd");
  EXPECT_EQ(decoder.put(0xa9), "\u00e9");
  EXPECT_EQ(decoder.put(0xff), "\ufffd");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, FinishGivesWhatIsHeldBackAndStartsAfresh) {
  const Tokenizer tokenizer = test::parse(test::small_tokenizer());
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.put(0xe4), "");
  EXPECT_EQ(decoder.put(0xb8), "");
  EXPECT_EQ(decoder.finish(), "\ufffd");
  EXPECT_EQ(decoder.finish(), "");
  EXPECT_EQ(decoder.put(0xad), "\ufffd");
}

TEST(StreamDecoder, SpecialTokensMayStandWithinACharacter) {
  json file = test::small_tokenizer();
  file["added_tokens"] = json::array({test::added_token("<s>", 261)});
  file["added_tokens"][0]["special"] = true;
  const Tokenizer tokenizer = test::parse(file);
  StreamDecoder skipping(tokenizer, true);
  EXPECT_EQ(skipping.put(0xc3), "");
  EXPECT_EQ(skipping.put(261), "");
  EXPECT_EQ(skipping.put(0xa9), "\u00e9");
  StreamDecoder showing(tokenizer);
  EXPECT_EQ(showing.put(0xc3), "");
  EXPECT_EQ(showing.put(261), "\ufffd<s>");
}

TEST(StreamDecoder, GivesWhatDecodeGives) {
  const auto directory = std::filesystem::path(ORTHRUS_TEST_DATA) / "qwen3-tokenizer";
  const Tokenizer tokenizer = Tokenizer::load(directory / "tokenizer.json");
  std::mt19937 random(11);
  for (int round = 0; round < 20'000; ++round) {
    // Low ids are single bytes: mostly broken characters. Some ids are outside of the vocabulary.
    const int limit = round % 2 == 0 ? 256 : tokenizer.vocab_size() + 10;
    const bool skip_special = round % 3 == 0;
    std::vector<int32_t> ids(random() % 20);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<unsigned>(limit)) - 2;
    StreamDecoder decoder(tokenizer, skip_special);
    std::string text;
    for (const int32_t id : ids) {
      const std::string part = decoder.put(id);
      ASSERT_EQ(find_invalid_utf8(part), std::nullopt) << testing::PrintToString(ids);
      text += part;
    }
    text += decoder.finish();
    ASSERT_EQ(text, tokenizer.decode(ids, skip_special)) << testing::PrintToString(ids);
  }
}

}  // namespace
}  // namespace orthrus
