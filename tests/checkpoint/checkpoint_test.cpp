#include "checkpoint/checkpoint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/huggingface/directory.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/safetensors_writer.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_error;
using test::TemporaryDirectory;
using test::write_file;
using test::write_safetensors;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kShard1 = "model-00001-of-00002.safetensors";
constexpr const char* kShard2 = "model-00002-of-00002.safetensors";

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), tensor.bytes};
}

// Every tensor against an independent reading of the same file.
void expect_equals_file(const fs::path& directory, size_t count, const char* norm_shape) {
  SCOPED_TRACE(directory);
  const Checkpoint checkpoint = Checkpoint::open(directory);
  EXPECT_EQ(checkpoint.name(), directory.string());
  EXPECT_EQ(checkpoint.tokenizer_file().has_value(), fs::exists(directory / "tokenizer.json"));
  EXPECT_FALSE(checkpoint.vocabulary().has_value());
  const std::string file = read_file(directory / kSingle);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  json header = json::parse(file.substr(8, length));
  header.erase("__metadata__");

  EXPECT_EQ(checkpoint.tensors().size(), count);
  EXPECT_EQ(header.size(), count);
  for (const auto& [name, entry] : header.items()) {
    SCOPED_TRACE(name);
    const Tensor* tensor = checkpoint.find(name);
    ASSERT_NE(tensor, nullptr);
    EXPECT_EQ(tensor->name, name);
    EXPECT_EQ(name_of(tensor->type), entry["dtype"].get<std::string>());
    EXPECT_EQ(json(tensor->shape), entry["shape"]);
    const size_t begin = entry["data_offsets"][0];
    const size_t end = entry["data_offsets"][1];
    EXPECT_TRUE(bytes_of(*tensor) == file.substr(8 + length + begin, end - begin));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->data) %
                  static_cast<size_t>(format_of(tensor->type).block_bytes),
              0u);
  }
  ASSERT_NE(checkpoint.find("model.norm.weight"), nullptr);
  EXPECT_EQ(json(checkpoint.find("model.norm.weight")->shape).dump(), norm_shape);
  EXPECT_EQ(checkpoint.find("model.norm.weigh"), nullptr);
  EXPECT_EQ(checkpoint.find("model.norm.weight2"), nullptr);
  EXPECT_EQ(checkpoint.find(""), nullptr);
}

TEST(Checkpoint, OpensPublishedLayouts) {
  expect_equals_file(fs::path(ORTHRUS_TEST_DATA) / "golden" / "tied", 53, "[64]");
  expect_equals_file(fs::path(ORTHRUS_TEST_DATA) / "golden" / "untied", 37, "[96]");
  expect_equals_file(fs::path(ORTHRUS_MODELS) / "tiny-code", 172, "[384]");
}

TEST(Checkpoint, DataOutlivesMoves) {
  TemporaryDirectory directory;
  fs::copy(fs::path(ORTHRUS_TEST_DATA) / "golden" / "tied" / "config.json", directory.path());
  write_safetensors(directory / kSingle, {{"a", DType::kF32, {1}, "aaaa"}});
  Checkpoint first = Checkpoint::open(directory.path());
  const std::byte* data = first.find("a")->data;
  Checkpoint second = std::move(first);
  EXPECT_EQ(second.find("a")->data, data);
  fs::remove(directory / kSingle);
  write_safetensors(directory / kSingle, {{"b", DType::kF32, {1}, "bbbb"}});
  second = Checkpoint::open(directory.path());
  EXPECT_EQ(second.find("a"), nullptr);
  EXPECT_EQ(bytes_of(*second.find("b")), "bbbb");
}

// A directory with two good shards; tests then break one thing.
class Shards : public testing::Test {
 protected:
  Shards() {
    write_safetensors(directory_ / kShard1,
                      {{"m", DType::kF32, {1}, "mmmm"}, {"a", DType::kBF16, {1}, "aa"}});
    write_safetensors(directory_ / kShard2, {{"b", DType::kF16, {2}, "bbbb"}});
    write_index({{"a", kShard1}, {"b", kShard2}, {"m", kShard1}});
  }

  void write_index(const json& weight_map) {
    const json index = {{"metadata", {{"total_size", 10}}}, {"weight_map", weight_map}};
    write_file(directory_ / kIndex, index.dump());
  }

  // That opening fails with this message, in which {} stands for the directory.
  void expect_refused(ErrorKind kind, const std::string& message) const {
    expect_error(kind, fmt::format(fmt::runtime(message), directory_.path().string()),
                 [&] { map_huggingface_weights(directory_.path()); });
  }

  TemporaryDirectory directory_;
};

TEST_F(Shards, AreOneCheckpoint) {
  const MappedTensors weights = map_huggingface_weights(directory_.path());
  ASSERT_EQ(weights.tensors.size(), 3u);
  EXPECT_EQ(weights.tensors[0].name, "a");
  EXPECT_EQ(weights.tensors[1].name, "b");
  EXPECT_EQ(weights.tensors[2].name, "m");
  EXPECT_EQ(bytes_of(weights.tensors[0]), "aa");
  EXPECT_EQ(bytes_of(weights.tensors[1]), "bbbb");
  EXPECT_EQ(bytes_of(weights.tensors[2]), "mmmm");
}

TEST_F(Shards, YieldToSingleFile) {
  write_safetensors(directory_ / kSingle, {{"single", DType::kF16, {1}, "ss"}});
  const MappedTensors weights = map_huggingface_weights(directory_.path());
  ASSERT_EQ(weights.tensors.size(), 1u);
  EXPECT_EQ(weights.tensors[0].name, "single");
}

TEST_F(Shards, MayIncludeTheSingleFile) {
  write_safetensors(directory_ / kSingle,
                    {{"a", DType::kBF16, {1}, "AA"}, {"single", DType::kF16, {1}, "ss"}});
  write_index({{"a", kSingle}, {"b", kShard2}, {"m", kShard1}});
  const MappedTensors weights = map_huggingface_weights(directory_.path());
  ASSERT_EQ(weights.tensors.size(), 3u);
  EXPECT_EQ(bytes_of(weights.tensors[0]), "AA");
}

TEST_F(Shards, MissingOnesAreListed) {
  fs::remove(directory_ / kShard2);
  write_index({{"a", kShard1}, {"b", kShard2}, {"m", kShard1}, {"n", "n.safetensors"}});
  expect_refused(ErrorKind::kFile,
                 "{}/model.safetensors.index.json: names 3 files; not there: "
                 "\"model-00002-of-00002.safetensors\", \"n.safetensors\".");
}

TEST_F(Shards, MustMatchTheIndex) {
  write_index({{"a", kShard2}, {"b", kShard2}, {"z", kShard1}});
  expect_refused(ErrorKind::kFile,
                 "{0}/model.safetensors.index.json: names tensors that are not there: "
                 "\"a in model-00002-of-00002.safetensors\", "
                 "\"z in model-00001-of-00002.safetensors\".");
}

// A shard may hold more than the index says is its: a superseded copy, a buffer of any type.
TEST_F(Shards, MayHoldWhatTheIndexDoesNotName) {
  write_file(directory_ / kShard2,
             test::safetensors_file(
                 R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},)"
                 R"("rotary.position_ids":{"dtype":"I64","shape":[1],"data_offsets":[8,16]}})",
                 "AAAAbbbb01234567"));
  const auto read = [&] {
    std::string all;
    for (const Tensor& tensor : map_huggingface_weights(directory_.path()).tensors) {
      all += tensor.name + '=' + bytes_of(tensor) + ' ';
    }
    return all;
  };
  EXPECT_EQ(read(), "a=aa b=bbbb m=mmmm ");
  write_index({{"a", kShard2}, {"b", kShard2}, {"m", kShard1}});
  EXPECT_EQ(read(), "a=AAAA b=bbbb m=mmmm ");
}

TEST_F(Shards, AreNamedWhenMalformed) {
  write_file(directory_ / kShard2, "short");
  expect_refused(ErrorKind::kFile,
                 "{}/model-00002-of-00002.safetensors: is not a safetensors file: it has 5 bytes, "
                 "and must start with the 8 of its header's length.");
}

TEST_F(Shards, MustLieInTheDirectory) {
  for (const char* file :
       {"", ".", "..", "../model.safetensors", "/etc/model.safetensors", "sub/model.safetensors",
        "..\\model.safetensors", "model.bin", "a\x01.safetensors", "a\x7f.safetensors"}) {
    write_index({{"a", file}});
    const std::string shown =
        std::string_view(file) == "a\x01.safetensors"       ? R"(a\u0001.safetensors)"
        : std::string_view(file) == "..\\model.safetensors" ? R"(..\\model.safetensors)"
        : std::string_view(file) == "a\x7f.safetensors"     ? R"(a\x7f.safetensors)"
                                                            : file;
    expect_error(
        ErrorKind::kFile,
        fmt::format("{}: weight_map has tensor \"a\" in \"{}\"; it must be in a file named "
                    "*.safetensors of the same directory.",
                    (directory_ / kIndex).string(), shown),
        [&] { map_huggingface_weights(directory_.path()); });
  }
  // A file's name ends at a zero byte for the system, whatever follows.
  write_file(directory_ / kIndex, R"({"weight_map":{"a":"model.bin\u0000.safetensors"}})");
  expect_refused(ErrorKind::kFile,
                 "{}/model.safetensors.index.json: weight_map has tensor \"a\" in "
                 "\"model.bin\\u0000.safetensors\"; it must be in a file named *.safetensors of "
                 "the same directory.");
}

TEST_F(Shards, NeedAWellFormedIndex) {
  const std::pair<std::string, std::string> kCases[] = {
      {"[]", "is []; it must be a JSON object."},
      {"{}", "has no weight_map."},
      {R"({"weight_map":[]})",
       "weight_map is []; it must be an object of tensor names and file names."},
      {R"({"weight_map":{}})",
       "weight_map is {{}}; it must be an object of tensor names and file names."},
      {R"({"weight_map":{"a":1}})",
       "weight_map has tensor \"a\" in 1; it must be in a file named *.safetensors of the same "
       "directory."},
      {R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})",
       "weight_map has tensor \"a\" in given twice, as \"x.safetensors\" and as \"y.safetensors\"; "
       "it must be in a file named *.safetensors of the same directory."},
      {R"({"metadata":)" + std::string(1'000'000, '['), "is nested more than 32 deep."},
      {std::string(9 << 20, ' '), "has 9437184 bytes; it may have 8388608 at most."},
  };
  for (const auto& [index, problem] : kCases) {
    write_file(directory_ / kIndex, index);
    expect_refused(ErrorKind::kFile, "{}/model.safetensors.index.json: " + problem);
  }
  write_file(directory_ / kIndex, "{\"weight_map\":");
  try {
    map_huggingface_weights(directory_.path());
    ADD_FAILURE() << "No error.";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what())
                  .find((directory_ / kIndex).string() + ": is not valid JSON: parse error at "),
              0u)
        << error.what();
  }
}

// Would take hours if the time were quadratic in the number of values.
TEST_F(Shards, MayHaveALongIndex) {
  std::string index = R"({"metadata":[{})";
  for (int i = 0; i < 2'500'000; ++i) index += ",{}";
  write_file(directory_ / kIndex, index + "]}");
  expect_refused(ErrorKind::kFile, "{}/model.safetensors.index.json: has no weight_map.");
}

TEST(Checkpoint, NeedsADirectoryWithWeights) {
  TemporaryDirectory directory;
  const std::string path = directory.path().string();
  const auto open = [&] { map_huggingface_weights(directory.path()); };
  expect_error(ErrorKind::kFile,
               path +
                   ": has neither model.safetensors nor model.safetensors.index.json. There "
                   "are no weights in it.",
               open);
  write_file(directory / "readme.md", "x");
  write_file(directory / "pytorch_model.bin", "x");
  write_file(directory / kShard1, "x");
  expect_error(ErrorKind::kFile,
               path +
                   ": has neither model.safetensors nor model.safetensors.index.json. Found "
                   "\"model-00001-of-00002.safetensors\", \"pytorch_model.bin\": convert to "
                   "safetensors, or add the missing index.",
               open);
}

TEST(Checkpoint, NeedsADirectoryOrAGgufFile) {
  TemporaryDirectory directory;
  const std::string path = directory.path().string();
  expect_error(ErrorKind::kFile, path + ": has no config.json. There are no weights in it.",
               [&] { Checkpoint::open(directory.path()); });
  write_file(directory / "readme.md", "# A model");
  expect_error(ErrorKind::kFile,
               path +
                   "/readme.md: is not a GGUF file, which starts with \"GGUF\"; it starts with "
                   "\"# A \".",
               [&] { Checkpoint::open(directory / "readme.md"); });
}

TEST(Checkpoint, NeedsARegularFile) {
  TemporaryDirectory directory;
  const fs::path path = directory / kSingle;
  const auto expect_refused = [&](const char* problem) {
    expect_error(ErrorKind::kFile, path.string() + problem,
                 [&] { map_huggingface_weights(directory.path()); });
    fs::remove(path);
  };
  fs::create_directory(path);
  expect_refused(": is a directory; it must be a file.");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  expect_refused(": is a pipe, device or socket; it must be a file.");
  write_file(path, "");
  expect_refused(": is empty; its download may not have finished.");
  fs::create_symlink("nowhere", path);
  expect_refused(": is a link to nowhere, which cannot be opened: No such file or directory.");
}

TEST(Checkpoint, FollowsLinks) {
  TemporaryDirectory directory;
  write_safetensors(directory / "blob", {{"a", DType::kF32, {1}, "aaaa"}});
  fs::create_symlink("blob", directory / kSingle);
  EXPECT_EQ(bytes_of(map_huggingface_weights(directory.path()).tensors[0]), "aaaa");
}

}  // namespace
}  // namespace orthrus
