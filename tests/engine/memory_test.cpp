// A model that cannot fit in memory is refused before its weights are read.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "backends/cpu/host_memory.h"
#include "network/network_weights.h"
#include "orthrus/engine.h"
#include "support/expect_error_parts.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text << "\n";
}

TEST(Memory, TheSmallestLimitOfTheControlGroupsCounts) {
  const test::TemporaryDirectory root;
  const MemoryLimit machine = memory_limit(root.path());
  EXPECT_GT(machine.bytes, 1 << 20);
  const auto limit = [&] { return memory_limit(root.path()).bytes; };
  const std::filesystem::path groups = root.path() / "sys/fs/cgroup";
  write(root.path() / "proc/self/cgroup", "3:memory:/x\n0::/a/b");
  write(groups / "a/b/memory.max", "max");
  write(groups / "a/memory.max", "700000");
  EXPECT_EQ(limit(), 700000);
  write(groups / "a/b/memory.max", "600000");
  EXPECT_EQ(limit(), 600000);
  write(groups / "memory.max", "500000");
  EXPECT_EQ(limit(), 500000);
  write(groups / "memory/x/memory.limit_in_bytes", "9223372036854771712");  // none
  EXPECT_EQ(limit(), 500000);
  write(groups / "memory/memory.limit_in_bytes", "400000");
  EXPECT_EQ(limit(), 400000);
  EXPECT_NE(memory_limit(root.path()).whose.find("control group"), std::string::npos);
  test::expect_error_parts([&] { check_memory(1e9, "It takes", root.path()); }, ErrorKind::kSystem,
                           {"It takes 0.9 GiB; the control group of this process"});
  check_memory(400000, "It takes", root.path());
}

// Zeros that take no room on the disk, and more of them than any machine of this size has memory.
TEST(Memory, ACheckpointThatCannotFitIsRefusedUnread) {
  const test::TemporaryDirectory directory;
  nlohmann::json json = small_config_json();
  json["hidden_size"] = 16384;
  json["intermediate_size"] = 65536;
  const double of_layer = 3.0 * 16384 * 65536 * 2;
  json["num_hidden_layers"] = static_cast<int>(memory_limit().bytes / of_layer) + 1;
  write_config(directory.path(), json);
  nlohmann::json header;
  size_t at = 0;
  for (const TensorSpec& spec : expected_tensors(load_config(directory.path()))) {
    size_t bytes = 2;
    for (const int64_t extent : spec.shape) bytes *= static_cast<size_t>(extent);
    header[spec.name] = {
        {"dtype", "BF16"}, {"shape", spec.shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  const std::string begin = test::safetensors_file(header.dump(), "");
  test::write_file(directory / "model.safetensors", begin);
  std::filesystem::resize_file(directory / "model.safetensors", begin.size() + at);

  EngineOptions options;
  options.on_load = [](LoadStage, size_t, size_t) { FAIL() << "weights are read"; };
  test::expect_error_parts([&] { Engine::load(directory.path(), options); }, ErrorKind::kSystem,
                           {"The weights and a short context take", "GiB"});
  EXPECT_EQ(ModelFiles::open(directory.path(), options).config().hidden_size, 16384);
}

}  // namespace
}  // namespace orthrus
