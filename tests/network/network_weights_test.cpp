// Tensors are checked against the configuration, all of them, before anything runs; and every
// storage type gives the network it stores.
#include "network/network_weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/cpu_ops.h"
#include "support/expect_error_parts.h"
#include "support/model.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

using test::TemporaryDirectory;
using test::TensorToWrite;

TensorToWrite& named(std::vector<TensorToWrite>& tensors, const std::string& name) {
  for (TensorToWrite& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw std::runtime_error("no tensor " + name);
}

TEST(Weights, MissingMisshapenAndUnexpectedTensorsAreListedTogether) {
  const TemporaryDirectory dir;
  write_config(dir.path(), small_config_json());
  auto tensors = random_tensors(load_config(dir.path()), DType::kF32);
  named(tensors, "model.layers.1.mlp.up_proj.weight").shape = {24, 40};
  named(tensors, "model.layers.0.self_attn.k_proj_diff.weight").name = "model.layers.0.ext\nra";
  test::write_safetensors(dir.path() / "model.safetensors", tensors);
  test::expect_error_parts(
      [&] { load_model(dir.path()); }, ErrorKind::kFile,
      {dir.path().string() +
           ": the tensors are not those of OrthrusLM as its configuration describes it.",
       "missing (1):\n  model.layers.0.self_attn.k_proj_diff.weight [20, 24]",
       "misshapen (1):\n  model.layers.1.mlp.up_proj.weight has shape [24, 40], it must be "
       "[40, 24]",
       "unexpected (1):\n  model.layers.0.ext\\x0ara [20, 24]"});
}

TEST(Weights, DiffusionTensorsInAPlainQwen3CheckpointAreUnexpected) {
  const TemporaryDirectory dir;
  auto config = small_config_json();
  write_random_checkpoint(dir.path(), config, DType::kF32);
  config["architectures"] = {"Qwen3ForCausalLM"};
  write_config(dir.path(), config);
  test::expect_error_parts([&] { load_model(dir.path()); }, ErrorKind::kFile,
                           {"those of Qwen3ForCausalLM", "unexpected (12)", "q_proj_diff"});
}

TEST(Weights, OfAnAdapterAreNamedSo) {
  const TemporaryDirectory dir;
  write_config(dir.path(), small_config_json());
  test::write_safetensors(dir.path() / "model.safetensors",
                          {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
                            DType::kF32,
                            {1},
                            "0000"}});
  test::expect_error_parts(
      [&] { load_model(dir.path()); }, ErrorKind::kFile,
      {"unexpected (1)", "They are an adapter's (LoRA)", "merge_and_unload()"});
}

TEST(Weights, LongListsAreCut) {
  const TemporaryDirectory dir;
  auto config = small_config_json();
  write_random_checkpoint(dir.path(), config, DType::kF32);
  config["num_hidden_layers"] = 5;
  write_config(dir.path(), config);
  test::expect_error_parts([&] { load_model(dir.path()); }, ErrorKind::kFile,
                           {"missing (51)", "... and 31 more"});
}

// Files of a tied model may hold the embedding, or the head alone, or both; as in transformers 5, a
// head that differs from the embedding is not tied to it.
TEST(Weights, ATiedHeadIsTheEmbeddingUnlessAnotherIsStored) {
  const TemporaryDirectory dir;
  auto config = small_config_json();
  write_config(dir.path(), config);
  auto tensors = random_tensors(load_config(dir.path()), DType::kF32);
  config["tie_word_embeddings"] = true;
  write_config(dir.path(), config);
  const std::string embedding = named(tensors, "model.embed_tokens.weight").bytes;
  const std::string other = named(tensors, "lm_head.weight").bytes;
  const auto expect_head = [&](const std::string& head, bool is_tied) {
    test::write_safetensors(dir.path() / "model.safetensors", tensors);
    const Checkpoint checkpoint = Checkpoint::open(dir.path());
    EXPECT_EQ(checkpoint.config().tie_word_embeddings, is_tied);
    const NetworkWeights weights = bind_weights(checkpoint.config(), checkpoint, "DIR");
    EXPECT_EQ(std::memcmp(weights.embed_tokens.data, embedding.data(), embedding.size()), 0);
    for (const View view : kBothViews) {
      EXPECT_EQ(weights.lm_head[view].data == weights.embed_tokens.data, is_tied);
      EXPECT_EQ(std::memcmp(weights.lm_head[view].data, head.data(), head.size()), 0);
    }
  };
  expect_head(other, false);
  named(tensors, "lm_head.weight").bytes = embedding;
  expect_head(embedding, true);
  std::erase_if(tensors, [](const TensorToWrite& t) { return t.name.ends_with("tokens.weight"); });
  expect_head(embedding, true);
  tensors.back().name = "model.embed_tokens.weight";
  expect_head(embedding, true);
}

TEST(Weights, AMissingHeadTellsHowToTieIt) {
  const TemporaryDirectory dir;
  write_config(dir.path(), small_config_json());
  auto tensors = random_tensors(load_config(dir.path()), DType::kF32);
  tensors.pop_back();
  test::write_safetensors(dir.path() / "model.safetensors", tensors);
  test::expect_error_parts(
      [&] { load_model(dir.path()); }, ErrorKind::kFile,
      {"missing (1):\n  lm_head.weight [50, 24]", "\"tie_word_embeddings\": true in config.json"});
}

TEST(Weights, TheAnglesOfRotationMayBeStored) {
  const TemporaryDirectory dir;
  write_config(dir.path(), small_config_json());
  auto tensors = random_tensors(load_config(dir.path()), DType::kF32);
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {1}, "0000"});
  test::write_safetensors(dir.path() / "model.safetensors", tensors);
  const Checkpoint checkpoint = Checkpoint::open(dir.path());
  EXPECT_NO_THROW(bind_weights(checkpoint.config(), checkpoint, "DIR"));
}

TEST(Weights, NaNAndInfinityAreReportedByName) {
  struct Case {
    DType type;
    std::string bytes;
  };
  const Case cases[] = {
      {DType::kF32, {"\x00\x00\xc0\x7f", 4}},  // NaN
      {DType::kF32, {"\x00\x00\x80\xff", 4}},  // -infinity
      {DType::kBF16, {"\xc0\x7f", 2}},        {DType::kBF16, {"\x80\xff", 2}},
      {DType::kF16, {"\x01\x7c", 2}},         {DType::kF16, {"\x00\xfc", 2}},
  };
  for (const Case& c : cases) {
    const TemporaryDirectory dir;
    write_config(dir.path(), small_config_json());
    auto tensors = random_tensors(load_config(dir.path()), c.type);
    std::string& bytes = named(tensors, "model.layers.1.self_attn.o_proj.weight").bytes;
    bytes.replace(bytes.size() - c.bytes.size(), c.bytes.size(), c.bytes);
    test::write_safetensors(dir.path() / "model.safetensors", tensors);
    const Checkpoint checkpoint = Checkpoint::open(dir.path());
    test::expect_error_parts(
        [&] { check_finite(checkpoint, "DIR", {}); }, ErrorKind::kFile,
        {"DIR: tensor model.layers.1.self_attn.o_proj.weight holds NaN or infinity"});
  }
}

TEST(Weights, FiniteOnesPassWithProgressToTheEnd) {
  const TemporaryDirectory dir;
  write_random_checkpoint(dir.path(), small_config_json(), DType::kBF16);
  size_t last = 0, total = 0;
  check_finite(Checkpoint::open(dir.path()), "DIR", [&](size_t done, size_t all) {
    EXPECT_GT(done, last);
    last = done;
    total = all;
  });
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 0u);
}

// The same numbers stored as F32, F16 and BF16 are the same network; with BF16 its activations are
// rounded.
TEST(Weights, StorageTypesThatHoldTheSameNumbersGiveTheSameLogits) {
  std::vector<std::vector<float>> logits;
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const TemporaryDirectory dir;
    write_config(dir.path(), small_config_json());
    std::mt19937 random(3);
    auto tensors = random_tensors(load_config(dir.path()), type);
    for (TensorToWrite& tensor : tensors) {
      const size_t count = tensor.bytes.size() / static_cast<size_t>(format_of(type).block_bytes);
      tensor.bytes.clear();
      for (size_t i = 0; i < count; ++i) {  // multiples of 1/64 up to 1: exact in every type
        tensor.bytes += encode_weight(type, (static_cast<int>(random() % 129) - 64) / 64.0f);
      }
    }
    test::write_safetensors(dir.path() / "model.safetensors", tensors);
    const CpuWeights model = load_model(dir.path());
    const CpuOps ops(2);
    TestSequence s(model, ops);
    CpuForwardPass pass(model, ops);
    const std::vector<int32_t> tokens{1, 2, 3, 40};
    const Span span{&s.sequence, tokens, View::kAutoregressive, 3, 4};
    ASSERT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
    logits.emplace_back(pass.logits(0).row(0), pass.logits(0).row(0) + 50);
  }
  EXPECT_EQ(logits[0], logits[1]);
  for (size_t i = 0; i < logits[0].size(); ++i) EXPECT_NEAR(logits[0][i], logits[2][i], 0.03);
}

// One byte more of header puts every number across the bounds of its type.
TEST(Weights, MayLieUnalignedInTheirFile) {
  for (const DType type : {DType::kF32, DType::kBF16}) {
    const TemporaryDirectory dir;
    write_config(dir.path(), small_config_json());
    std::string file = test::safetensors_file(random_tensors(load_config(dir.path()), type));
    const auto logits = [&] {
      test::write_file(dir.path() / "model.safetensors", file);
      const CpuWeights model = load_model(dir.path());
      const CpuOps ops(2);
      TestSequence s(model, ops);
      CpuForwardPass pass(model, ops);
      const std::vector<int32_t> tokens{1, 2, 3, 40};
      const Span span{&s.sequence, tokens, View::kAutoregressive, 3, 4};
      EXPECT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
      return std::vector<float>(pass.logits(0).row(0), pass.logits(0).row(0) + 50);
    };
    const std::vector<float> aligned = logits();
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof(length));
    file.insert(8 + length, 1, ' ');
    ++length;
    std::memcpy(file.data(), &length, sizeof(length));
    EXPECT_EQ(logits(), aligned);
  }
}

TEST(Weights, OnesOfAnotherTypeAreCloseAndWhatDoesNotFitIsNamed) {
  const TemporaryDirectory dir;
  write_random_checkpoint(dir.path(), small_config_json(), DType::kF32);
  const CpuOps ops(2);
  const std::vector<int32_t> tokens{1, 2, 3, 40};
  std::vector<float> want;
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    std::vector<std::pair<size_t, size_t>> progress;
    const CpuWeights model(
        load_config(dir.path()), Checkpoint::open(dir.path()), "DIR", ops, {type},
        [&](LoadStage, size_t done, size_t total) { progress.emplace_back(done, total); });
    // Checking, then packing: each to its end.
    EXPECT_EQ(std::count_if(progress.begin(), progress.end(),
                            [](const auto& p) { return p.first == p.second; }),
              2);
    for (const View view : kBothViews) EXPECT_EQ(model.network.lm_head[view].type, type);
    EXPECT_EQ(model.network.embed_tokens.type, DType::kF32);
    TestSequence s(model, ops);
    CpuForwardPass pass(model, ops);
    const Span span{&s.sequence, tokens, View::kAutoregressive, 3, 4};
    ASSERT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
    const std::vector<float> got(pass.logits(0).row(0), pass.logits(0).row(0) + 50);
    if (type == DType::kF32) want = got;
    const float tolerance = type == DType::kF16 ? 0.01f : 0.1f;
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], tolerance * std::max(1.0f, std::abs(want[i]))) << name_of(type);
    }
  }

  auto tensors = random_tensors(load_config(dir.path()), DType::kF32);
  for (TensorToWrite& tensor : tensors) {
    if (tensor.name != "model.layers.0.mlp.up_proj.weight") continue;
    const float large = 70000;
    std::memcpy(tensor.bytes.data() + 40, &large, sizeof(large));
  }
  test::write_safetensors(dir.path() / "model.safetensors", tensors);
  test::expect_error_parts([&] { load_model(dir.path(), {DType::kF16}); }, ErrorKind::kFile,
                           {"model.layers.0.mlp.up_proj", "above 65504", "F16"});
}

}  // namespace
}  // namespace orthrus
