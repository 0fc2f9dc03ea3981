#include "orthrus/inspect.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace orthrus {
namespace {

TEST(Inspect, PartsAndViewsAddUp) {
  const CheckpointInfo info = inspect(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code");
  EXPECT_EQ(info.tensors.size(), 172u);
  EXPECT_EQ(info.total.bytes, 48583424);
  EXPECT_EQ(info.total.parameters, 24291712);
  int64_t parameters = 0, bytes = 0, diffusion_attention = 0;
  for (const PartInfo& part : info.parts) {
    parameters += part.parameters;
    bytes += part.bytes;
    if (part.name == "attention (diffusion view)") diffusion_attention = part.parameters;
  }
  EXPECT_EQ(parameters, info.total.parameters);
  EXPECT_EQ(bytes, info.total.bytes);
  // Ten layers of q and o [384][384], k and v [128][384], two norms of 64.
  EXPECT_EQ(diffusion_attention, 10 * (2 * 384 * 384 + 2 * 128 * 384 + 2 * 64));
  EXPECT_EQ(info.ar_view.parameters, info.total.parameters - diffusion_attention);
  EXPECT_EQ(info.diffusion_view.parameters, info.ar_view.parameters);
  EXPECT_EQ(info.cache_bytes_per_token, 2 * 10 * 2 * 64 * 4);
}

}  // namespace
}  // namespace orthrus
