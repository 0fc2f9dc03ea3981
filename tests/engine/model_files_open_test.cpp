// What is wrong is told before weights are read.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "support/expect_error_parts.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

std::filesystem::path tiny_code() {
  return std::filesystem::path(ORTHRUS_MODELS) / "tiny-code";
}

TEST(ModelFiles, KnowWhatAnEngineKnows) {
  ModelFiles files = ModelFiles::open(tiny_code());
  EXPECT_EQ(files.config().vocab_size, load_config(tiny_code()).vocab_size);
  Request request;
  request.prompt = files.encode("def fibonacci(n):");
  request.options.max_tokens = 5;
  validate(request, files.config(), files.tokenizer());
  const Engine engine = Engine::load(std::move(files));
  EXPECT_EQ(engine.encode("def fibonacci(n):"), request.prompt);
  EXPECT_EQ(engine.generate(request).output_ids,
            Engine::load(tiny_code()).generate(request).output_ids);
  EXPECT_THROW(files.config(), Error);  // NOLINT(bugprone-use-after-move)
  EXPECT_THROW(Engine::load(std::move(files)), Error);
}

TEST(ModelFiles, AreCheckedButForTheirWeights) {
  const test::TemporaryDirectory directory;
  write_config(directory.path(), small_config_json());
  std::vector<test::TensorToWrite> tensors =
      random_tensors(load_config(directory.path()), DType::kF32);
  for (test::TensorToWrite& tensor : tensors) {
    if (tensor.shape.size() == 2) tensor.bytes.replace(0, 4, encode_weight(DType::kF32, NAN));
  }
  test::write_safetensors(directory / "model.safetensors", tensors);
  ModelFiles files = ModelFiles::open(directory.path());
  EXPECT_EQ(files.tokenizer(), nullptr);
  test::expect_error_parts([&] { files.encode("x"); }, ErrorKind::kUsage, {"no tokenizer"});
  Request request;
  request.prompt = {50};
  test::expect_error_parts([&] { validate(request, files.config(), files.tokenizer()); },
                           ErrorKind::kUsage, {"id 50"});
  test::expect_error_parts([&] { Engine::load(std::move(files)); }, ErrorKind::kFile, {"NaN"});

  EngineOptions options;
  options.threads = -1;
  test::expect_error_parts([&] { ModelFiles::open(directory.path(), options); }, ErrorKind::kUsage,
                           {"threads is -1"});
  test::write_file(directory / "tokenizer.json", "{}");
  EXPECT_THROW(ModelFiles::open(directory.path()), Error);
  std::filesystem::remove(directory / "tokenizer.json");
  tensors.pop_back();
  test::write_safetensors(directory / "model.safetensors", tensors);
  EXPECT_THROW(ModelFiles::open(directory.path()), Error);
}

TEST(LoadProgress, TellsTheStages) {
  const auto watched = [](std::vector<LoadStage>& stages) {
    EngineOptions options;
    options.on_load = [&stages, last = size_t{0}](LoadStage stage, size_t done,
                                                  size_t total) mutable {
      if (stages.empty() || stages.back() != stage) stages.push_back(stage), last = 0;
      EXPECT_GE(done, last);
      EXPECT_LE(done, total);
      last = done;
    };
    return options;
  };
  std::vector<LoadStage> loading, making;
  Engine::load(tiny_code(), watched(loading));
  EXPECT_EQ(loading, (std::vector{LoadStage::kChecking, LoadStage::kConverting}));
  Engine::synthetic(load_config(tiny_code()), watched(making));
  EXPECT_EQ(making, std::vector{LoadStage::kMaking});
}

}  // namespace
}  // namespace orthrus
