#include "checkpoint/heads.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/gguf_writer.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

using test::expect_error;
using test::GgufWriter;
using test::safetensors_file;
using test::TemporaryDirectory;
using test::TensorToWrite;
using test::write_file;

constexpr auto kFile = ErrorKind::kFile;
constexpr const char* kName = "model.layers.0.self_attn.q_proj_diff.weight";

class HeadsTest : public testing::Test {
 protected:
  Heads open_safetensors(const std::map<std::string, std::string>& metadata) const {
    write_file(path_, safetensors_file({{kName, DType::kF32, {1, 2}, "12345678"}}, metadata));
    return open_heads(path_);
  }
  Heads open_gguf(const GgufWriter& writer) const {
    writer.write(path_);
    return open_heads(path_);
  }

  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_ / "h";
};

GgufWriter gguf_heads(const char* architecture) {
  GgufWriter writer;
  writer.text("general.architecture", architecture)
      .u32("orthrus.diffusion.block_size", 8)
      .u32("tokenizer.ggml.mask_token_id", 5)
      .text("orthrus.heads.base", "Base-1B")
      .tensor({"blk.0.attn_q_diff.weight", DType::kF32, {1, 2}, "12345678"});
  return writer;
}

TEST_F(HeadsTest, AreReadFromSafetensors) {
  const Heads heads =
      open_safetensors({{"block_size", "8"}, {"mask_token_id", "5"}, {"base", "Base-1B"}});
  EXPECT_EQ(heads.name, path_.string());
  EXPECT_EQ(heads.block_size, 8);
  EXPECT_EQ(heads.mask_token_id, 5);
  EXPECT_EQ(heads.base, "Base-1B");
  ASSERT_EQ(heads.tensors.size(), 1u);
  EXPECT_EQ(heads.tensors[0].name, kName);

  const Heads silent = open_safetensors({{"format", "pt"}});
  EXPECT_EQ(silent.block_size, std::nullopt);
  EXPECT_EQ(silent.mask_token_id, std::nullopt);
  EXPECT_EQ(silent.base, "");
}

TEST_F(HeadsTest, AreReadFromGguf) {
  GgufWriter model = gguf_heads("orthrus");  // of which only the heads are taken
  model.tensor({"blk.0.attn_q.weight", DType::kF32, {1, 2}, "12345678"});
  for (const GgufWriter& writer : {gguf_heads("orthrus-heads"), model}) {
    const Heads heads = open_gguf(writer);
    EXPECT_EQ(heads.block_size, 8);
    EXPECT_EQ(heads.mask_token_id, 5);
    EXPECT_EQ(heads.base, "Base-1B");
    ASSERT_EQ(heads.tensors.size(), 1u);
    EXPECT_EQ(heads.tensors[0].name, kName);
  }
  GgufWriter silent = gguf_heads("orthrus-heads");
  silent.without("orthrus.diffusion.block_size")
      .without("tokenizer.ggml.mask_token_id")
      .without("orthrus.heads.base");
  EXPECT_EQ(open_gguf(silent).block_size, std::nullopt);
  EXPECT_EQ(open_gguf(silent).mask_token_id, std::nullopt);
}

TEST_F(HeadsTest, AreRefusedWhenTheirMetadataIsWrong) {
  const std::pair<std::map<std::string, std::string>, std::string> kSafetensors[] = {
      {{{"block_size", "1"}},
       "block_size in __metadata__ is \"1\"; it must be an integer from 2 to 1024."},
      {{{"block_size", "16x"}},
       "block_size in __metadata__ is \"16x\"; it must be an integer from 2 to 1024."},
      {{{"mask_token_id", ""}},
       "mask_token_id in __metadata__ is \"\"; it must be an integer from 0 to 16777215."},
      {{{"mask_token_id", "99999999999"}},
       "mask_token_id in __metadata__ is \"99999999999\"; it must be an integer from 0 to "
       "16777215."},
  };
  for (const auto& [metadata, problem] : kSafetensors) {
    expect_error(kFile, path_.string() + ": " + problem, [&] { open_safetensors(metadata); });
  }
  write_file(path_, safetensors_file(R"({"__metadata__":{"base":"a","base":"b"}})", ""));
  expect_error(kFile, path_.string() + ": __metadata__ has \"base\" twice.",
               [&] { open_heads(path_); });

  const auto refused = [&](GgufWriter writer, const std::string& problem) {
    expect_error(kFile, path_.string() + ": " + problem, [&] { open_gguf(writer); });
  };
  refused(gguf_heads("qwen2"),
          "general.architecture is \"qwen2\"; heads are \"orthrus-heads\", or in a model that is "
          "\"orthrus\".");
  refused(gguf_heads("orthrus-heads").u32("orthrus.diffusion.block_size", 0),
          "orthrus.diffusion.block_size is 0; it must be an integer from 2 to 1024.");
  refused(gguf_heads("orthrus-heads").i32("tokenizer.ggml.mask_token_id", -1),
          "tokenizer.ggml.mask_token_id is -1; it must be an integer from 0 to 16777215.");
  refused(gguf_heads("orthrus-heads").u32("orthrus.heads.base", 1),
          "orthrus.heads.base is 1; it must be a string.");
}

TEST_F(HeadsTest, AreFoundBesideTheModel) {
  const std::filesystem::path model = directory_ / "m-q4.gguf";
  const std::filesystem::path part = directory_ / "m-q4-00002-of-00003.gguf";
  EXPECT_EQ(find_heads(model), std::nullopt);
  write_file(directory_ / "other.heads.gguf", "x");
  EXPECT_EQ(find_heads(model), std::nullopt);
  // The best ones last.
  for (const char* name : {"heads.safetensors", "heads.gguf"}) {
    write_file(directory_ / name, "x");
    EXPECT_EQ(find_heads(model), directory_ / name);
    EXPECT_EQ(find_heads(part), directory_ / name);
    EXPECT_EQ(find_heads(directory_.path()), directory_ / name);
  }
  for (const char* name : {"m-q4.heads.safetensors", "m-q4.heads.gguf"}) {
    write_file(directory_ / name, "x");
    EXPECT_EQ(find_heads(model), directory_ / name);
    EXPECT_EQ(find_heads(part), directory_ / name);
    EXPECT_EQ(find_heads(directory_.path()), directory_ / "heads.gguf");
  }
}

TEST_F(HeadsTest, AreFoundBesideWhatALinkLeadsTo) {
  namespace fs = std::filesystem;
  const fs::path elsewhere = directory_ / "elsewhere";
  fs::create_directory(elsewhere);
  write_file(elsewhere / "m-q4.gguf", "x");
  fs::create_directory(directory_ / "between");
  fs::create_symlink("../elsewhere/m-q4.gguf", directory_ / "between/m.gguf");
  const fs::path link = directory_ / "mine.gguf";
  fs::create_symlink("between/m.gguf", link);
  EXPECT_EQ(find_heads(link), std::nullopt);
  write_file(elsewhere / "m-q4.heads.gguf", "x");
  EXPECT_TRUE(fs::equivalent(find_heads(link).value(), elsewhere / "m-q4.heads.gguf"));
  // As those of a file in the hub's cache, which is a link to one of another name.
  write_file(directory_ / "between/m.heads.gguf", "x");
  EXPECT_EQ(find_heads(link), directory_ / "between/m.heads.gguf");
  write_file(directory_ / "heads.safetensors", "x");  // beside the link goes before
  EXPECT_EQ(find_heads(link), directory_ / "heads.safetensors");
  fs::create_symlink("nowhere", directory_ / "broken.gguf");
  fs::remove(directory_ / "heads.safetensors");
  EXPECT_EQ(find_heads(directory_ / "broken.gguf"), std::nullopt);
  fs::create_symlink("loop.gguf", directory_ / "loop.gguf");
  EXPECT_EQ(find_heads(directory_ / "loop.gguf"), std::nullopt);
}

TEST(HeadsBase, IsComparedByName) {
  const char* kBase = "Qwen2.5-Coder-0.5B-Instruct";
  for (const char* same : {"Qwen2.5-Coder-0.5B-Instruct", "Qwen/Qwen2.5-Coder-0.5B-Instruct",
                           "Qwen2.5 Coder 0.5B Instruct AWQ", "qwen2.5-coder-0.5b", ""}) {
    EXPECT_TRUE(may_be_same_model(kBase, same)) << same;
    EXPECT_TRUE(may_be_same_model(same, kBase)) << same;
  }
  for (const char* other : {"Qwen2.5-Coder-1.5B-Instruct", "Qwen2.5-0.5B-Instruct", "Qwen3 0.6B"}) {
    EXPECT_FALSE(may_be_same_model(kBase, other)) << other;
    EXPECT_FALSE(may_be_same_model(other, kBase)) << other;
  }
}

}  // namespace
}  // namespace orthrus
