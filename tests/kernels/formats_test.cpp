// What blocks of each format hold: the very numbers that the gguf package finds in them
// (tests/data/formats).
#include <gtest/gtest.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/formats/format.h"

namespace orthrus {
namespace {

std::vector<std::byte> bytes_of_hex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned byte = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
    bytes.push_back(static_cast<std::byte>(byte));
  }
  return bytes;
}

TEST(Formats, BlocksAreThoseOfGguf) {
  std::ifstream file(ORTHRUS_TEST_DATA "/formats/formats.json");
  const auto golden = nlohmann::json::parse(file);
  for (const Format& format : all_formats()) {
    if (!format.stores_blocks()) continue;
    SCOPED_TRACE(format.name);
    ASSERT_TRUE(golden.contains(format.name));
    for (const auto& one : golden.at(std::string(format.name))) {
      const std::vector<std::byte> block = bytes_of_hex(one.at("block").get<std::string>());
      const std::vector<std::byte> numbers = bytes_of_hex(one.at("numbers").get<std::string>());
      const auto columns = static_cast<size_t>(format.block_columns);
      ASSERT_EQ(block.size(), static_cast<size_t>(format.block_bytes));
      ASSERT_EQ(numbers.size(), columns * sizeof(float));
      std::vector<float> want(columns), got(columns);
      std::memcpy(want.data(), numbers.data(), numbers.size());
      format.widen(block.data(), 1, got.data());
      EXPECT_EQ(got, want);
      EXPECT_TRUE(format.finite(block.data(), 1));
    }
  }
}

// A scale that is infinite or NaN makes a block that is not finite, wherever the format has it.
TEST(Formats, BlocksWithoutFiniteScalesAreFound) {
  for (const Format& format : all_formats()) {
    if (!format.stores_blocks()) continue;
    SCOPED_TRACE(format.name);
    const auto bytes = static_cast<size_t>(format.block_bytes);
    std::vector<std::byte> blocks(3 * bytes);
    ASSERT_TRUE(format.finite(blocks.data(), 3));
    int found = 0;
    for (size_t at = 0; at + 1 < bytes; ++at) {
      for (const uint16_t bits : {0x7c00, 0xfc00, 0x7e01}) {
        std::vector<std::byte> bad = blocks;
        std::memcpy(bad.data() + bytes + at, &bits, sizeof bits);
        found += !format.finite(bad.data(), 3);
      }
    }
    // At its own place each is found; a byte further down its upper byte is another half's lower.
    EXPECT_EQ(found, format.has_minimums ? 6 : 3);
  }
}

}  // namespace
}  // namespace orthrus
