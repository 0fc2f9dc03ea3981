// What people give in place of a model, and what they are told.
#include "checkpoint/model_path.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/huggingface/near_misses.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/expect_error_parts.h"
#include "support/safetensors_writer.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::expect_error_parts;
using test::TemporaryDirectory;
using test::write_file;

TEST(ModelPath, OfAnIdOnHuggingFaceSaysHowToDownloadIt) {
  const std::pair<const char*, const char*> kIds[] = {
      {"some-owner/Orthrus-Qwen3-1.7B", "some-owner/Orthrus-Qwen3-1.7B --local-dir"},
      {"hf://some-owner/Qwen3-8B", "some-owner/Qwen3-8B --local-dir"},
      {"https://huggingface.co/some-owner/Qwen3-8B/tree/main", "some-owner/Qwen3-8B --local-dir"},
      {"https://huggingface.co/some-owner/Qwen3-8B/", "some-owner/Qwen3-8B --local-dir"},
      {"hf.co/some-owner/Qwen3-8B-GGUF:Q4_K_M",
       "some-owner/Qwen3-8B-GGUF --include '*Q4_K_M*' --local-dir"},
      {"some-owner/Qwen3-8B-GGUF:Q4_K_M",
       "some-owner/Qwen3-8B-GGUF --include '*Q4_K_M*' --local-dir"},
  };
  for (const auto& [id, command] : kIds) {
    expect_error_parts([&, model = id] { resolve_model(model); }, ErrorKind::kFile,
                       {std::string(id) + ": is not there. It looks like a model's id on Hugging "
                                          "Face; nothing is downloaded here.",
                        "\"hf download " + std::string(command) + " models/"});
  }
}

TEST(ModelPath, OfNothingIsRefused) {
  TemporaryDirectory directory;
  const std::string paths[] = {(directory / "a" / "b").string(),
                               "no-such-directory/x.gguf",
                               "../no-such/x",
                               "a b/c",
                               "$(x)/y",
                               "nothing",
                               "a/b/c",
                               "-x/y",
                               "a/b:`x`"};
  for (const std::string& path : paths) {
    expect_error(ErrorKind::kFile,
                 path +
                     ": is not there; a model is a directory that holds config.json and "
                     "model.safetensors, or a GGUF file.",
                 [&] { resolve_model(path); });
  }
  expect_error_parts([] { resolve_model("https://example.com/m.gguf"); }, ErrorKind::kFile,
                     {"is an address; nothing is downloaded here."});
}

TEST(ModelPath, OfOneFileNamesItsDirectory) {
  TemporaryDirectory directory;
  for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json"}) {
    write_file(directory / name, "x");
    expect_error(ErrorKind::kFile,
                 fmt::format("{0}/{1}: is one file of a model; give the directory that holds them "
                             "all: {0}.",
                             directory.path().string(), name),
                 [&] { resolve_model(directory / name); });
  }
}

TEST(ModelPath, OfADirectoryIsItsOnlyGgufModel) {
  TemporaryDirectory directory;
  const fs::path path = directory.path();
  EXPECT_EQ(resolve_model(path), path);
  // Beside a model, but none.
  for (const char* name :
       {"heads.gguf", "m.heads.gguf", "mmproj-F16.gguf", "config.json", "x.md"}) {
    write_file(directory / name, "x");
    EXPECT_EQ(resolve_model(path), path);
  }
  write_file(directory / "m-00002-of-00002.gguf", "x");
  write_file(directory / "m-00001-of-00002.gguf", "x");
  EXPECT_EQ(resolve_model(path), path / "m-00001-of-00002.gguf");
  write_file(directory / "m-q8.gguf", "x");
  const std::string problem =
      path.string() +
      ": holds several models in GGUF; name the one to use: \"m-00001-of-00002.gguf\", "
      "\"m-q8.gguf\".";
  expect_error(ErrorKind::kFile, problem, [&] { resolve_model(path); });
  expect_error(ErrorKind::kFile, problem, [&] { Checkpoint::open(path); });
  expect_error(ErrorKind::kFile, problem, [&] { load_config(path); });
  expect_error(ErrorKind::kFile, problem, [&] { chat_template_of(path); });
  write_file(directory / "model.safetensors", "x");
  EXPECT_EQ(resolve_model(path), path);
}

// What a directory holds that is no model.
TEST(NearMisses, AreNamed) {
  const struct {
    std::vector<const char*> files;
    const char* what;
  } kCases[] = {
      {{}, "There are no weights in it."},
      {{"readme.md"}, "There are no weights in it."},
      {{"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"},
       "It holds an adapter (LoRA), \"adapter_config.json\": merge that into its base model first, "
       "with peft's merge_and_unload() and save_pretrained(), and give the result."},
      {{"pytorch_model.bin"},
       "Found \"pytorch_model.bin\": convert to safetensors, or add the missing index."},
      {{"consolidated.00.pth", "params.json"},
       "Found \"consolidated.00.pth\": convert to safetensors, or add the missing index."},
      {{"model.onnx"}, "Found \"model.onnx\": convert to safetensors, or add the missing index."},
      {{"model.safetensors"},
       "Its weights are there: add the config.json that the model was published with."},
      {{"refs/main", "snapshots/0a1b/config.json", "blobs/x"},
       "A model is in \"snapshots/0a1b\"; give that directory."},
      {{"models--a--b/snapshots/0a1b/config.json", "models--c/blobs/x"},
       "A model is in \"models--a--b/snapshots/0a1b\"; give that directory."},
      {{"a/b/c/d/config.json"}, "There are no weights in it."},
      {{"checkpoint-1/config.json", "checkpoint-2/config.json"},
       "Models are in \"checkpoint-1\", \"checkpoint-2\"; give one of these directories."},
      {{"a/heads.gguf", "b/config.json", "c/heads.gguf", "c/x-q4_k_m.gguf"},
       "Models are in \"b\", \"c\"; give one of these directories."},
      {{"heads.gguf", "README.md"},
       "It has the heads for a model, \"heads.gguf\": put the model's file beside them."},
      {{"heads.safetensors", "b/config.json"},
       "It has the heads for a model, \"heads.safetensors\": put the model's file beside them."},
      {{".cache/huggingface/download/x.incomplete", "config.json"},
       "Its download has not finished: repeat \"hf download\", which goes on."},
  };
  for (const auto& c : kCases) {
    TemporaryDirectory directory;
    for (const char* file : c.files) {
      fs::create_directories((directory / file).parent_path());
      write_file(directory / file, "x");
    }
    EXPECT_EQ(what_it_holds(directory.path()), c.what);
  }
}

TEST(NearMisses, AreNamedWhereAModelIsOpened) {
  TemporaryDirectory directory;
  write_file(directory / "adapter_model.safetensors", "x");
  const std::string problem =
      directory.path().string() + ": has no config.json. It holds an adapter";
  expect_error_parts([&] { Checkpoint::open(directory.path()); }, ErrorKind::kFile,
                     {problem, "merge_and_unload()"});
  expect_error_parts([&] { load_config(directory.path()); }, ErrorKind::kFile, {problem});
}

}  // namespace
}  // namespace orthrus
