// Models in Hugging Face directories whose matrices are quantized, against the same in F32.
#include "support/quantized_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "orthrus/inspect.h"
#include "support/expect_error.h"
#include "support/expect_error_parts.h"
#include "support/model.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using test::QuantizedFormat;

constexpr int kTokens = 24;

std::vector<int32_t> prompt() {
  return {3, 14, 15, 9, 26, 5, 35, 8, 9, 7};
}

// The logits behind each token of a text.
std::vector<float> logits_of(const fs::path& directory, const WeightTypes& types) {
  const CpuWeights model = load_model(directory, types);
  const CpuOps ops(1);
  TestSequence s(model, ops);
  CpuForwardPass pass(model, ops);
  const std::vector<int32_t> tokens = prompt();
  const Span span{&s.sequence, tokens, View::kAutoregressive, 0, static_cast<int>(tokens.size())};
  EXPECT_EQ(run_and_commit(pass, std::span(&span, 1)), Status::kOk);
  const ConstRows rows = pass.logits(0);
  std::vector<float> logits;
  for (int i = 0; i < rows.rows; ++i) {
    logits.insert(logits.end(), rows.row(i), rows.row(i) + rows.cols);
  }
  return logits;
}

std::vector<int32_t> greedy(const fs::path& directory, std::optional<DType> weights, Mode mode) {
  EngineOptions options;
  options.weights = weights;
  options.threads = 1;
  const Engine engine = Engine::load(directory, options);
  Request request;
  request.prompt = prompt();
  request.options.max_tokens = kTokens;
  request.options.mode = mode;
  return engine.generate(request).output_ids;
}

// How far two lists of logits are apart, relative to the second.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

class QuantizedModel : public testing::TestWithParam<const char*> {
 protected:
  void write(const QuantizedFormat& format) {
    test::write_quantized(quantized_.path(), f32_.path(), GetParam(), format);
  }

  test::TemporaryDirectory quantized_, f32_;
};

TEST_P(QuantizedModel, IsTheModelOfItsNumbers) {
  for (const QuantizedFormat& format : test::quantized_formats()) {
    SCOPED_TRACE(format.config.dump());
    write(format);
    const std::vector<float> exact = logits_of(f32_.path(), {DType::kF32});
    EXPECT_EQ(logits_of(quantized_.path(), {DType::kF32}), exact);
    // Each number is rounded once, from its float32.
    for (const DType type : {DType::kBF16, DType::kF16, DType::kQ8_0}) {
      if (type == DType::kQ8_0 && format.type == type) continue;  // packed as they are
      EXPECT_EQ(logits_of(quantized_.path(), {type}), logits_of(f32_.path(), {type}))
          << name_of(type);
    }
    const std::vector<float> usual = logits_of(quantized_.path(), {});
    if (format.type == DType::kF32) {
      EXPECT_EQ(load_model(quantized_.path()).network.layers[0].mlp.ar.up_proj.type, DType::kBF16);
    } else {
      EXPECT_EQ(load_model(quantized_.path()).network.layers[0].mlp.ar.up_proj.type, format.type);
    }
    EXPECT_LT(distance(usual, exact), 0.03);
    EXPECT_EQ(greedy(quantized_.path(), DType::kF32, Mode::kAr),
              greedy(f32_.path(), DType::kF32, Mode::kAr));
  }
}

TEST_P(QuantizedModel, DraftsChangeNoToken) {
  for (const QuantizedFormat& format :
       {test::awq({}), test::gptq({}), test::fp8_blocks(128, 128, "BF16")}) {
    SCOPED_TRACE(format.config.dump());
    write(format);
    EXPECT_EQ(greedy(quantized_.path(), {}, Mode::kAuto), greedy(quantized_.path(), {}, Mode::kAr));
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, QuantizedModel,
                         testing::Values("Qwen3ForCausalLM", "Qwen2ForCausalLM", "OrthrusLM"),
                         [](const auto& info) { return std::string(info.param); });

TEST(QuantizedModels, AreInspected) {
  const test::TemporaryDirectory quantized, f32;
  test::write_quantized(quantized.path(), f32.path(), "Qwen3ForCausalLM", test::awq({}));
  const CheckpointInfo info = inspect(quantized.path()), plain = inspect(f32.path());
  EXPECT_EQ(info.total.parameters, plain.total.parameters);
  EXPECT_EQ(info.tensors.size(), plain.tensors.size());
  ASSERT_EQ(info.formats.size(), 2u);
  EXPECT_EQ(info.formats[0].encoding, "");
  EXPECT_EQ(info.formats[0].type, DType::kF32);
  EXPECT_EQ(info.formats[1].encoding, "AWQ int4, groups of 32");
  EXPECT_EQ(info.formats[1].type, DType::kQ8_0);
  EXPECT_EQ(info.formats[1].tensors, 14);
  // Half a byte a number, and in groups of 32 half a byte and two.
  const int64_t parameters = info.formats[1].parameters;
  EXPECT_EQ(info.formats[1].bytes, parameters / 2 + parameters / 32 / 2 + parameters / 32 * 2);
}

TEST(QuantizedModels, RefuseWhatIsNotFinite) {
  const test::TemporaryDirectory quantized, f32;
  QuantizedFormat format = test::fp8_blocks(128, 128, "F32");
  const auto make = format.make;
  format.make = [&](const std::string& module, int rows, int columns, std::mt19937& random) {
    test::QuantizedMatrix matrix = make(module, rows, columns, random);
    if (module == "model.layers.1.mlp.up_proj") matrix.tensors[0].bytes[77] = '\x7f';
    return matrix;
  };
  test::write_quantized(quantized.path(), f32.path(), "Qwen3ForCausalLM", format);
  test::expect_error(
      ErrorKind::kFile,
      quantized.path().string() +
          ": tensor model.layers.1.mlp.up_proj.weight holds NaN or infinity; weights "
          "must be finite.",
      [&] { load_model(quantized.path()); });
}

TEST(QuantizedModels, RefuseQuantizedEmbeddings) {
  const test::TemporaryDirectory quantized, f32;
  const QuantizedFormat format = test::pack_quantized({});
  test::write_quantized(quantized.path(), f32.path(), "Qwen3ForCausalLM", format);
  std::mt19937 random(1);
  const nlohmann::json config = test::quantizable_config_json("Qwen3ForCausalLM");
  std::vector<test::RawTensor> stored;
  for (const test::TensorToWrite& tensor : random_tensors(load_config(f32.path()), DType::kF32)) {
    if (tensor.name != "model.embed_tokens.weight") stored.push_back(test::raw(tensor));
  }
  test::QuantizedMatrix embedding = format.make("model.embed_tokens", 50, 64, random);
  std::ranges::move(embedding.tensors, std::back_inserter(stored));
  test::write_file(quantized / "model.safetensors", test::safetensors_file(stored));
  test::expect_error(ErrorKind::kUnsupported,
                     quantized.path().string() +
                         ": model.embed_tokens.weight is int4, groups of 32; an embedding may be "
                         "F32, F16 or BF16, or GGUF's blocks.",
                     [&] { load_model(quantized.path()); });
}

TEST(QuantizedModels, RefuseBiasesThatTheNetworkHasNot) {
  const test::TemporaryDirectory quantized, f32;
  QuantizedFormat format = test::gptq({});
  const auto make = format.make;
  format.make = [&](const std::string& module, int rows, int columns, std::mt19937& random) {
    test::QuantizedMatrix matrix = make(module, rows, columns, random);
    if (module == "model.layers.1.mlp.up_proj") {
      matrix.tensors.push_back(test::floats(module + ".bias", "F16", {2}, {0, 1}));
    }
    return matrix;
  };
  test::write_quantized(quantized.path(), f32.path(), "Qwen3ForCausalLM", format);
  test::expect_error_parts([&] { load_model(quantized.path()); }, ErrorKind::kFile,
                           {"unexpected (1):\n  model.layers.1.mlp.up_proj.bias [2]"});
}

}  // namespace
}  // namespace orthrus
