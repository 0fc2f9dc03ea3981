// Heads in a file of their own, and the models that they are for.
#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/open_model.h"
#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/expect_error_parts.h"
#include "support/gguf_model.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::expect_error_parts;
using test::GgufWriter;
using test::TemporaryDirectory;
using test::TensorToWrite;

constexpr int kBlock = 6;
constexpr int kMask = 40;

ModelConfig dual_config(bool biases, int pair_rank = 0) {
  ModelConfig config;
  config.vocab_size = 50;
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  config.rms_norm_eps = 1e-6f;
  config.rope_theta = 1e4;
  config.max_position_embeddings = 128;
  config.has_qkv_bias = biases;
  config.has_qk_norm = !biases;
  config.block_size = kBlock;
  config.mask_token_id = kMask;
  config.pair_rank = pair_rank;
  return config;
}

bool is_head(const TensorToWrite& tensor) {
  return tensor.name.find("_diff.") != std::string::npos;
}

// A model with heads inside; the same without; and its heads alone.
struct Files {
  std::vector<TensorToWrite> all, base, heads;
  ModelConfig dual, plain;

  explicit Files(bool biases, int pair_rank = 0)
      : dual(dual_config(biases, pair_rank)), plain(dual) {
    plain.block_size = 0;
    plain.mask_token_id = -1;
    plain.pair_rank = 0;
    all = test::random_tensors_in(dual, DType::kF32);
    for (const TensorToWrite& tensor : all) (is_head(tensor) ? heads : base).push_back(tensor);
  }

  GgufWriter gguf_heads() const {
    GgufWriter writer;
    writer.text("general.architecture", "orthrus-heads")
        .u32("orthrus.diffusion.block_size", kBlock)
        .u32("tokenizer.ggml.mask_token_id", kMask);
    for (TensorToWrite tensor : heads) {
      tensor.name = test::gguf_name(tensor.name);
      writer.tensor(tensor);
    }
    return writer;
  }
  std::string safetensors_heads() const {
    return test::safetensors_file(
        heads, {{"block_size", std::to_string(kBlock)}, {"mask_token_id", std::to_string(kMask)}});
  }
};

class ModelHeads : public testing::Test {
 protected:
  std::vector<int32_t> generate(const fs::path& model, const EngineOptions& options,
                                Mode mode) const {
    Request request;
    request.prompt = {1, 2, 3};
    request.options.max_tokens = 24;
    request.options.mode = mode;
    const Generation result = Engine::load(model, options).generate(request);
    cycles_ = result.stats.cycles;
    accepted_ = result.stats.accepted;
    return result.output_ids;
  }

  TemporaryDirectory directory_;
  fs::path model_ = directory_ / "m.gguf";
  mutable int cycles_ = 0, accepted_ = 0;
};

// However the heads come, the network is the one that has them inside: the same tokens, the same
// cycles.
TEST_F(ModelHeads, AreAsThoseInside) {
  for (const int pair_rank : {0, 3}) {
    const bool biases = pair_rank == 0;
    const Files files(biases, pair_rank);
    const fs::path whole = directory_ / "whole.gguf";
    gguf_of(files.dual, files.all).write(whole);
    gguf_of(files.plain, files.base).write(model_);
    EngineOptions options{.threads = 1};
    const std::vector<int32_t> expected = generate(whole, options, Mode::kDual);
    const std::pair<int, int> drafts = {cycles_, accepted_};
    EXPECT_GT(cycles_, 0);

    const fs::path gguf = directory_ / "x.gguf", safetensors = directory_ / "x.safetensors";
    files.gguf_heads().write(gguf);
    test::write_file(safetensors, files.safetensors_heads());
    for (const fs::path& heads : {gguf, safetensors, whole}) {
      options.heads = heads;
      EXPECT_EQ(generate(model_, options, Mode::kDual), expected);
      EXPECT_EQ(std::pair(cycles_, accepted_), drafts);
      EXPECT_EQ(generate(model_, options, Mode::kAr), expected);
    }
  }
}

// Then the text itself gives drafts, and only it.
TEST_F(ModelHeads, WithoutThemTextsAreLookedUp) {
  const Files files(true);
  gguf_of(files.plain, files.base).write(model_);
  const EngineOptions options{.threads = 2};
  const std::vector<int32_t> expected = generate(model_, options, Mode::kAr);
  EXPECT_EQ(generate(model_, options, Mode::kAuto), expected);
  const Engine engine = Engine::load(model_, options);
  Request request;
  for (int i = 0; i < 60; ++i) request.prompt.push_back(5 + i % 7);
  request.options.max_tokens = 60;
  request.options.ignore_eos = true;
  request.options.mode = Mode::kAr;
  const Generation plain = engine.generate(request);
  request.options.mode = std::nullopt;
  const Generation looked_up = engine.generate(request);
  EXPECT_EQ(looked_up.output_ids, plain.output_ids);
  const GenerationStats& stats = looked_up.stats;
  EXPECT_EQ(stats.diffusion_passes, 0);
  EXPECT_EQ(stats.cycles, std::accumulate(stats.lookup.begin(), stats.lookup.end(), 0));
  EXPECT_EQ(stats.ar_passes, stats.drafted[0] + stats.cycles);
  EXPECT_EQ(1 + stats.ar_passes + stats.accepted, 60);
  request.options.lookup = false;
  const Generation off = engine.generate(request);
  EXPECT_EQ(off.output_ids, plain.output_ids);
  EXPECT_EQ(off.stats.ar_passes, 59);
}

TEST_F(ModelHeads, ThatLieBesideTheModelAreTaken) {
  const Files files(true);
  gguf_of(files.plain, files.base).write(model_);
  EXPECT_FALSE(open_model(model_, {}).config().has_diffusion_view());
  files.gguf_heads().write(directory_ / "m.heads.gguf");
  const Checkpoint checkpoint = open_model(model_, {});
  EXPECT_EQ(checkpoint.config().block_size, kBlock);
  EXPECT_EQ(checkpoint.config().mask_token_id, kMask);
  EXPECT_EQ(checkpoint.config().architecture, "Qwen2ForCausalLM");
  EXPECT_EQ(checkpoint.heads()->name, (directory_ / "m.heads.gguf").string());
  // The model alone has none.
  EXPECT_FALSE(load_config(model_).has_diffusion_view());
}

TEST_F(ModelHeads, WithoutMetadataAreTakenAsUsual) {
  Files files(true);
  files.plain.vocab_size = kUsualMaskTokenId + 1;
  auto tensors = test::random_tensors_in(files.plain, DType::kBF16);
  gguf_of(files.plain, tensors).write(model_);
  test::write_file(directory_ / "heads.safetensors", test::safetensors_file(files.heads));
  const ModelConfig config = open_model(model_, {}).config();
  EXPECT_EQ(config.block_size, kUsualBlockSize);
  EXPECT_EQ(config.mask_token_id, kUsualMaskTokenId);
}

TEST_F(ModelHeads, OfADirectoryLieInIt) {
  const TemporaryDirectory directory;
  auto config = small_config_json();
  write_random_checkpoint(directory.path(), config, DType::kF32);
  ModelConfig dual = load_config(directory.path());
  dual.pair_rank = 5;
  const auto tensors = random_tensors(dual, DType::kF32);
  test::write_safetensors(directory / "model.safetensors", tensors);
  EXPECT_EQ(open_model(directory.path(), {}).config().pair_rank, 5);  // inside
  config["architectures"] = {"Qwen3ForCausalLM"};
  config["_name_or_path"] = "some/Base";
  write_config(directory.path(), config);
  std::vector<TensorToWrite> base, heads;
  for (const TensorToWrite& tensor : tensors) (is_head(tensor) ? heads : base).push_back(tensor);
  test::write_safetensors(directory / "model.safetensors", base);
  const std::map<std::string, std::string> metadata = {
      {"block_size", "8"}, {"mask_token_id", "49"}, {"base", "Base"}};
  test::write_file(directory / "heads.safetensors", test::safetensors_file(heads, metadata));
  EXPECT_EQ(open_model(directory.path(), {}).config().block_size, 8);
  EXPECT_EQ(open_model(directory.path(), {}).config().pair_rank, 5);
}

TEST_F(ModelHeads, AreNotForAModelThatHasItsOwn) {
  const Files files(true);
  gguf_of(files.dual, files.all).write(model_);
  const fs::path heads = directory_ / "m.heads.gguf";
  files.gguf_heads().u32("orthrus.diffusion.block_size", 3).write(heads);
  EXPECT_EQ(open_model(model_, {}).config().block_size, kBlock);  // those beside it do not count
  expect_error(ErrorKind::kUsage,
               model_.string() +
                   ": the model has a diffusion view of its own, so it takes no heads; leave out " +
                   heads.string() + ".",
               [&] { open_model(model_, heads); });
}

TEST_F(ModelHeads, ForAnotherBaseAreTakenOnlyWhenGiven) {
  const Files files(true);
  gguf_of(files.plain, files.base).text("general.name", "Some Model 1B").write(model_);
  const fs::path heads = directory_ / "heads.gguf";
  files.gguf_heads().text("orthrus.heads.base", "Other-Model-1B").write(heads);
  expect_error(ErrorKind::kFile,
               heads.string() + ": these heads are for \"Other-Model-1B\", but " + model_.string() +
                   " is \"Some Model 1B\".\n" + heads.string() +
                   " was found beside the model; --heads none does without, --heads FILE takes "
                   "others, or heads for another base all the same.",
               [&] { open_model(model_, {}); });
  EXPECT_EQ(open_model(model_, heads).heads()->base, "Other-Model-1B");
  EXPECT_FALSE(open_model(model_, kNoHeads).config().has_diffusion_view());
  // Where the directory is given that the model lies in, too.
  EXPECT_EQ(open_model(directory_.path(), kNoHeads).path(), model_);
  EXPECT_THROW(open_model(directory_.path(), {}), Error);
  test::write_file(heads, "<html>");
  expect_error_parts([&] { open_model(model_, {}); }, ErrorKind::kFile,
                     {"it is a web page", "--heads none"});
  files.gguf_heads().text("orthrus.heads.base", "some/Some-Model-1B-Instruct").write(heads);
  EXPECT_TRUE(open_model(model_, {}).config().has_diffusion_view());
}

TEST_F(ModelHeads, ThatDoNotFitAreRefused) {
  const fs::path heads = directory_ / "x";
  const Files files(true);
  gguf_of(files.plain, files.base).write(model_);
  const auto refused = [&](const GgufWriter& writer, std::initializer_list<std::string> parts) {
    writer.write(heads);
    expect_error_parts([&] { open_model(model_, heads); }, ErrorKind::kFile, parts);
    EXPECT_THROW(Engine::load(model_, {.heads = heads}), Error);
  };
  const std::string title =
      heads.string() + ": the tensors are not those of heads for " + model_.string() + ".";
  const auto name = [](const char* rest) {
    return "model.layers.1.self_attn." + std::string(rest);
  };

  refused(files.gguf_heads().u32("tokenizer.ggml.mask_token_id", 50),
          {heads.string() + ": mask_token_id is 50, but " + model_.string() +
           " has only the ids 0 to 49."});
  refused(files.gguf_heads().without("tokenizer.ggml.mask_token_id"),
          {"mask_token_id is 151669, since the file says none, but"});

  GgufWriter fewer = files.gguf_heads();  // a layer less
  std::erase_if(fewer.entries, [](const auto& e) { return e.name.starts_with("blk.1."); });
  refused(fewer, {title, "missing (7)", name("q_proj_diff.weight [32, 32]"), "\n  ... and 4 more",
                  "\nThey are for a model that has 1 layer of width 32, with queries of width 32 "
                  "and keys of width 16; this one has 2 layers of width 32, with queries of"});
  // A matrix less does not make them another model's.
  GgufWriter gap = files.gguf_heads();
  std::erase_if(gap.entries, [](const auto& e) { return e.name == "blk.1.attn_q_diff.weight"; });
  refused(gap, {title + "\nmissing (1):\n  " + name("q_proj_diff.weight [32, 32]")});
  GgufWriter more = files.gguf_heads();
  more.tensor({"blk.2.attn_q_diff.bias", DType::kF32, {1}, "aaaa"});
  refused(more, {title, "unexpected (1)", "model.layers.2.self_attn.q_proj_diff.bias [1]"});
  GgufWriter misshapen = files.gguf_heads();
  misshapen.entries[0].dimensions = {16, 64};
  refused(misshapen, {title, "misshapen (1)",
                      "model.layers.0.self_attn.q_proj_diff.weight has shape [64, 16], it must be "
                      "[32, 32]"});
  // Norms where the base has biases.
  refused(Files(false).gguf_heads(), {title, "missing (6)", name("q_proj_diff.bias [32]"),
                                      "unexpected (4)", name("q_norm_diff.weight [8]")});
  // Not heads but a model.
  refused(gguf_of(files.plain, files.base), {"general.architecture is \"qwen2\"; heads are"});
  test::write_file(heads, "short");
  expect_error_parts([&] { open_model(model_, heads); }, ErrorKind::kFile,
                     {heads.string() + ": is not a safetensors file"});
  fs::remove(heads);
  expect_error_parts([&] { open_model(model_, heads); }, ErrorKind::kFile,
                     {heads.string() + ": cannot be opened"});
}

TEST_F(ModelHeads, HaveBothTablesOfAPairwiseTermOrNone) {
  const fs::path heads = directory_ / "x";
  const Files files(true, 32);
  gguf_of(files.plain, files.base).write(model_);
  files.gguf_heads().write(heads);
  EXPECT_EQ(open_model(model_, heads).config().pair_rank, 32);
  EXPECT_EQ(Engine::load(model_, {.threads = 1, .heads = heads}).config().pair_rank, 32);

  constexpr const char* kTables[] = {"pair_previous_diff.weight", "pair_next_diff.weight"};
  const auto dimensions_of = [](GgufWriter & writer, const char* table) -> auto& {
    return std::ranges::find(writer.entries, table, &GgufWriter::Entry::name)->dimensions;
  };
  const auto refused = [&](const GgufWriter& writer, std::initializer_list<std::string> parts) {
    writer.write(heads);
    expect_error_parts([&] { open_model(model_, heads); }, ErrorKind::kFile, parts);
  };
  const std::string title =
      heads.string() + ": the tensors are not those of heads for " + model_.string() + ".";
  for (const char* table : kTables) {
    GgufWriter one = files.gguf_heads();
    std::erase_if(one.entries, [&](const auto& e) { return e.name == table; });
    refused(one, {title, std::string("missing (1):\n  model.") + table + " [50, 32]"});
    GgufWriter other = files.gguf_heads();  // of another vocabulary
    dimensions_of(other, table) = {32, 25};
    refused(other, {title, std::string("model.") + table + " has shape [25, 32], it must be [50"});
  }
  GgufWriter narrower = files.gguf_heads();
  dimensions_of(narrower, kTables[1]) = {16, 50};
  refused(narrower, {title, "model.pair_next_diff.weight has shape [50, 16], it must be [50, 32]"});
  GgufWriter vector = files.gguf_heads();
  dimensions_of(vector, kTables[0]) = {1600};
  refused(vector,
          {heads.string() + ": model.pair_previous_diff.weight has shape [1600]; it must be "
                            "a table of the vocabulary's rows and 1 to 1024 columns."});
  refused(Files(true, 1025).gguf_heads(), {"has shape [50, 1025]", "1 to 1024 columns"});
  // Tables alone are no heads, and a model without a diffusion view has none.
  GgufWriter alone = files.gguf_heads();
  std::erase_if(alone.entries, [](const auto& e) { return !e.name.starts_with("pair_"); });
  refused(alone, {title, "missing (14)"});
  gguf_of(files.plain, files.all).write(heads);
  expect_error_parts([&] { Engine::load(heads, {}); }, ErrorKind::kFile,
                     {"unexpected (16)", "model.pair_next_diff.weight [50, 32]"});
}

TEST_F(ModelHeads, WithABrokenTableAreRefused) {
  for (const char* table : {"model.pair_previous_diff.weight", "model.pair_next_diff.weight"}) {
    Files files(false, 4);
    for (TensorToWrite& tensor : files.all) {
      if (tensor.name != table) continue;
      tensor.bytes.replace(tensor.bytes.size() - 4, 4, std::string("\x00\x00\xc0\x7f", 4));
    }
    gguf_of(files.dual, files.all).write(model_);
    expect_error_parts([&] { Engine::load(model_, {.threads = 1}); }, ErrorKind::kFile,
                       {model_.string() + ": tensor " + table + " holds NaN or infinity"});
    // Of heads in a file of their own, that file is the broken one.
    const fs::path heads = directory_ / "x";
    for (TensorToWrite& tensor : files.heads) {
      if (tensor.name != table) continue;
      tensor.bytes.replace(tensor.bytes.size() - 4, 4, std::string("\x00\x00\xc0\x7f", 4));
    }
    gguf_of(files.plain, files.base).write(model_);
    files.gguf_heads().write(heads);
    expect_error_parts([&] { Engine::load(model_, {.threads = 1, .heads = heads}); },
                       ErrorKind::kFile,
                       {heads.string() + ": tensor " + table + " holds NaN or infinity"});
  }
}

// Their file is named, not the model's.
TEST_F(ModelHeads, TooLargeForTheTypeTheyAreConvertedToAreRefused) {
  Files files(false);
  std::string name;
  for (TensorToWrite& tensor : files.heads) {
    if (tensor.name.find("q_proj_diff.weight") == std::string::npos) continue;
    tensor.bytes.replace(0, 4, std::string("\xf9\x02\x15\x50", 4));  // 1e10
    if (name.empty()) name = tensor.name;
  }
  const fs::path heads = directory_ / "x";
  gguf_of(files.plain, files.base).write(model_);
  files.gguf_heads().write(heads);
  const EngineOptions options{.threads = 1, .weights = DType::kQ8_0, .heads = heads};
  expect_error_parts([&] { Engine::load(model_, options); }, ErrorKind::kFile,
                     {heads.string() + ": " + name + " has weights above"});
}

TEST_F(ModelHeads, AreNotForASyntheticModel) {
  expect_error(ErrorKind::kUsage, "A synthetic model has its own diffusion view; give no heads.",
               [] { Engine::synthetic(dual_config(true), {.threads = 1, .heads = "x"}); });
}

}  // namespace
}  // namespace orthrus
