// Matrices that Hugging Face directories have quantized: their numbers, and files that are wrong.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/huggingface/config_json.h"
#include "checkpoint/huggingface/quantized_tensors.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/fresh_seed.h"
#include "support/quantized_matrices.h"

namespace orthrus {
namespace {

using nlohmann::json;
using test::expect_error;
using test::QuantizedFormat;
using test::QuantizedMatrix;
using test::RawTensor;

Quantization quantization_of(const json& config) {
  const std::string text = json{{"quantization_config", config}}.dump();
  return parse_quantization({"c.json", text}).value();
}

// What a file of these tensors holds; `file` must outlive it.
std::vector<Tensor> resolve(const std::string& file, const json& config) {
  return resolve_quantized(
      parse_safetensors(std::as_bytes(std::span(file)), "m.safetensors").tensors,
      quantization_of(config));
}

// Rows of an encoding as float32.
std::vector<float> widened(const Encoding& encoding, int first, int count) {
  const Format& format = format_of(encoding.type());
  const auto numbers = static_cast<size_t>(count) * static_cast<size_t>(encoding.cols());
  std::vector<std::byte> bytes(bytes_of(format, numbers));
  encoding.read(first, count, bytes.data());
  std::vector<float> values(numbers);
  format.widen(bytes.data(), numbers / static_cast<size_t>(format.block_columns), values.data());
  return values;
}

TEST(Quantized, NumbersAreThoseOfTheReferenceToTheBit) {
  std::mt19937 random(test::fresh_seed());
  constexpr std::pair<int, int> kShapes[] = {{8, 64}, {40, 160}, {208, 288}};
  for (const QuantizedFormat& format : test::quantized_formats()) {
    for (const auto& [rows, columns] : kShapes) {
      SCOPED_TRACE(format.config.dump() + fmt::format(" {} x {}", rows, columns));
      const QuantizedMatrix matrix = format.make("a.q_proj", rows, columns, random);
      const std::string file = test::safetensors_file(matrix.tensors);
      const std::vector<Tensor> tensors = resolve(file, format.config);
      ASSERT_EQ(tensors.size(), 1u);
      const Tensor& tensor = tensors[0];
      EXPECT_EQ(tensor.name, "a.q_proj.weight");
      EXPECT_EQ(tensor.shape, (std::vector<int64_t>{rows, columns}));
      ASSERT_NE(tensor.encoding, nullptr);
      EXPECT_EQ(name_of(tensor.type), name_of(format.type));
      EXPECT_EQ(tensor.encoding->type(), tensor.type);
      EXPECT_TRUE(tensor.encoding->finite(0, rows));
      size_t bytes = 0;
      for (const RawTensor& part : matrix.tensors) {
        if (!part.name.ends_with(".input_scale")) bytes += part.bytes.size();
      }
      EXPECT_EQ(tensor.bytes, bytes);
      const float largest = std::abs(*std::ranges::max_element(
          matrix.numbers, {}, [](float number) { return std::abs(number); }));
      EXPECT_GE(tensor.encoding->largest(), largest);
      // All rows at once, and a few of them.
      EXPECT_EQ(widened(*tensor.encoding, 0, rows), matrix.numbers);
      const int first = rows / 3, count = rows - first - 2;
      const auto begin = matrix.numbers.begin() + first * columns;
      EXPECT_EQ(widened(*tensor.encoding, first, count),
                std::vector<float>(begin, begin + count * columns));
    }
  }
}

TEST(Quantized, ColumnsNeedNotBeWholeBlocks) {
  std::mt19937 random(1);
  const QuantizedFormat kFormats[] = {test::awq({4, 20}),
                                      test::gptq({4, 24}),
                                      test::gptq({4, 128}),  // fewer columns than a group may have
                                      test::pack_quantized({4, 0}),
                                      test::pack_quantized({8, 24, true}),
                                      test::fp8_blocks(128, 128, "F32")};
  for (const QuantizedFormat& format : kFormats) {
    SCOPED_TRACE(format.config.dump());
    const QuantizedMatrix matrix = format.make("a", 16, 120, random);
    const std::string file = test::safetensors_file(matrix.tensors);
    const std::vector<Tensor> tensors = resolve(file, format.config);
    ASSERT_EQ(tensors.size(), 1u);
    EXPECT_EQ(tensors[0].type, DType::kF32);
    EXPECT_EQ(widened(*tensors[0].encoding, 0, 16), matrix.numbers);
  }
}

// The last column of compressed-tensors' words, and rows of zero points, may be padding.
TEST(Quantized, WordsMayHavePadding) {
  std::mt19937 random(1);
  const QuantizedFormat format = test::pack_quantized({4, 0, true});
  const QuantizedMatrix matrix = format.make("a", 13, 45, random);
  const std::string file = test::safetensors_file(matrix.tensors);
  const std::vector<Tensor> tensors = resolve(file, format.config);
  EXPECT_EQ(widened(*tensors[0].encoding, 0, 13), matrix.numbers);
}

// An index of groups that was never filled, and other words for an order.
TEST(Quantized, ColumnsMayBeInOrderThoughTheyNeedNot) {
  std::mt19937 random(1);
  json config = test::pack_quantized({}).config;
  QuantizedMatrix matrix = test::pack_quantized({}).make("a", 8, 64, random);
  json& order = config["config_groups"]["group_0"]["weights"]["actorder"];
  for (const json& none : {json(), json(false), json("weight"), json("static")}) {
    order = none;
    const std::string file = test::safetensors_file(matrix.tensors);
    EXPECT_EQ(widened(*resolve(file, config)[0].encoding, 0, 8), matrix.numbers) << none;
  }
  RawTensor groups{"a.weight_g_idx", "I32", {64}, std::string(64 * 4, '\xff')};
  matrix.tensors.push_back(std::move(groups));
  for (const json& by_activation : {json("group"), json("dynamic"), json(true)}) {
    order = by_activation;
    const std::string file = test::safetensors_file(matrix.tensors);
    const std::vector<Tensor> tensors = resolve(file, config);
    ASSERT_EQ(tensors.size(), 1u);
    EXPECT_EQ(tensors[0].type, DType::kQ4_0);
    EXPECT_EQ(widened(*tensors[0].encoding, 0, 8), matrix.numbers) << by_activation;
  }
}

// A norm, for one: what is wrong is not that it is no matrix.
TEST(Quantized, RefusesFp8WhereThereAreNoMatrices) {
  std::mt19937 random(1);
  const QuantizedFormat format = test::fp8_blocks(8, 32, "F32");
  QuantizedMatrix matrix = format.make("a", 16, 64, random);
  matrix.tensors.push_back({"norm.weight", "F8_E4M3", {64}, std::string(64, '8')});
  const std::string file = test::safetensors_file(matrix.tensors);
  expect_error(ErrorKind::kUnsupported,
               R"(m.safetensors: dtype of tensor "norm.weight" is "F8_E4M3"; supported are "F32", )"
               R"("F16" and "BF16", and what quantization_config in config.json describes.)",
               [&] { resolve(file, format.config); });
}

TEST(Quantized, ScalesThatF16HasNotGiveFloats) {
  std::mt19937 random(1);
  const QuantizedFormat format = test::pack_quantized({4, 32, false, false, "F32"});
  QuantizedMatrix matrix = format.make("a", 8, 64, random);
  const std::string file = test::safetensors_file(matrix.tensors);
  const std::vector<Tensor> tensors = resolve(file, format.config);
  EXPECT_EQ(tensors[0].type, DType::kF32);
  EXPECT_EQ(widened(*tensors[0].encoding, 0, 8), matrix.numbers);
}

TEST(Quantized, Fp8IsWhatItsDefinitionSays) {
  std::string bytes;
  std::vector<float> numbers;
  for (int byte = 0; byte < 256; ++byte) {
    if ((byte & 0x7f) == 0x7f) continue;  // NaN
    bytes += static_cast<char>(byte);
    numbers.push_back(test::e4m3(byte));
  }
  EXPECT_EQ(*std::ranges::max_element(numbers), 448);
  const std::string file = test::safetensors_file(std::vector<RawTensor>{
      {"a.weight", "F8_E4M3", {1, 254}, bytes}, test::floats("a.weight_scale", "F32", {1}, {1})});
  const auto config = test::float_quantized("tensor", "F32").config;
  EXPECT_EQ(widened(*resolve(file, config)[0].encoding, 0, 1), numbers);
}

TEST(Quantized, WhatIsNotQuantizedStays) {
  std::mt19937 random(1);
  const QuantizedFormat format = test::gptq({});
  QuantizedMatrix matrix = format.make("b", 8, 32, random);
  matrix.tensors.push_back(test::floats("a.weight", "BF16", {2, 1}, {1, 2}));
  matrix.tensors.push_back(test::floats("b.bias", "F16", {1}, {1}));
  matrix.tensors.push_back(test::floats("c.k_scale", "F32", {1}, {1}));
  const std::string file = test::safetensors_file(matrix.tensors);
  const std::vector<Tensor> tensors = resolve(file, format.config);
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "a.weight");
  EXPECT_EQ(tensors[0].encoding, nullptr);
  EXPECT_EQ(tensors[1].name, "b.bias");
  EXPECT_EQ(tensors[2].name, "b.weight");
  EXPECT_NE(tensors[2].encoding, nullptr);
  EXPECT_EQ(tensors[2].encoding->name(), "GPTQ int4, a scale a row");
}

TEST(Quantized, MatricesMayBeOfSeveralSchemes) {
  std::mt19937 random(1);
  const QuantizedFormat int4 = test::pack_quantized({}),
                        fp8 = test::float_quantized("channel", "F32");
  json config = int4.config;
  config["format"] = "mixed-precision";
  config["config_groups"]["group_1"] = fp8.config["config_groups"]["group_0"];
  QuantizedMatrix a = int4.make("a", 8, 64, random);
  const QuantizedMatrix b = fp8.make("b", 8, 64, random);
  std::ranges::copy(b.tensors, std::back_inserter(a.tensors));
  const std::string file = test::safetensors_file(a.tensors);
  const std::vector<Tensor> tensors = resolve(file, config);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].encoding->name(), "int4, groups of 32");
  EXPECT_EQ(tensors[1].encoding->name(), "FP8, a scale a row");
  EXPECT_EQ(widened(*tensors[1].encoding, 0, 8), b.numbers);
}

RawTensor& part_of(QuantizedMatrix& matrix, std::string_view part) {
  return *std::ranges::find_if(
      matrix.tensors, [&](const RawTensor& tensor) { return tensor.name.ends_with(part); });
}

void set_word(RawTensor& tensor, size_t word, int32_t value) {
  std::memcpy(tensor.bytes.data() + word * sizeof value, &value, sizeof value);
}

// Another shape, with as many bytes as that takes.
void reshape(RawTensor& tensor, std::vector<int64_t> shape, size_t element) {
  for (const int64_t size : shape) element *= static_cast<size_t>(size);
  tensor.shape = std::move(shape);
  tensor.bytes.resize(element);
}

struct Broken {
  QuantizedFormat format;
  std::function<void(QuantizedMatrix&, json&)> change;
  std::string problem;  // of m.safetensors
};

TEST(Quantized, RefusesPartsThatDoNotFit) {
  const float kNan = std::nanf(""), kInfinity = HUGE_VALF;
  const auto without = [](std::string_view part) {
    return [part](QuantizedMatrix& matrix, json&) {
      std::erase_if(matrix.tensors, [&](const RawTensor& t) { return t.name.ends_with(part); });
    };
  };
  const auto shaped = [](std::string_view part, std::vector<int64_t> shape, size_t element) {
    return [=](QuantizedMatrix& matrix, json&) { reshape(part_of(matrix, part), shape, element); };
  };
  const auto typed = [](std::string_view part, std::string type) {
    return [=](QuantizedMatrix& matrix, json&) { part_of(matrix, part).type = type; };
  };
  const auto scale = [](std::string_view part, float value) {
    return [=](QuantizedMatrix& matrix, json&) {
      RawTensor& tensor = part_of(matrix, part);
      tensor.bytes = test::floats("", tensor.type, {}, {value}).bytes +
                     tensor.bytes.substr(tensor.type == "F32" ? 4 : 2);
    };
  };
  const auto word = [](std::string_view part, size_t at, int32_t value) {
    return [=](QuantizedMatrix& matrix, json&) { set_word(part_of(matrix, part), at, value); };
  };
  const auto said = [](const char* key, json value) {
    return [=](QuantizedMatrix&, json& config) { config[key] = value; };
  };
  const auto actorder = [](json value) {
    return [=](QuantizedMatrix&, json& config) {
      config["config_groups"]["group_0"]["weights"]["actorder"] = value;
    };
  };
  // All of 16 rows and 64 columns in groups of 32.
  const Broken kCases[] = {
      {test::awq({}), without(".qzeros"), R"(tensor "a.qweight" has no a.qzeros beside it.)"},
      {test::awq({}), without(".scales"), R"(tensor "a.qweight" has no a.scales beside it.)"},
      {test::awq({}), shaped(".qweight", {128}, 4),
       R"(tensor "a.qweight" is I32 [128]; it must be I32, with two dimensions of 1 to 16777216.)"},
      {test::awq({}), shaped(".qweight", {0, 2}, 4),
       R"(tensor "a.qweight" is I32 [0, 2]; it must be I32, with two dimensions of 1 to )"
       "16777216."},
      {test::awq({}), typed(".qweight", "F32"),
       R"(tensor "a.qweight" is F32 [64, 2]; it must be I32, with two dimensions of 1 to )"
       "16777216."},
      {test::awq({}), shaped(".qweight", {64, 3}, 4),
       R"(tensor "a.scales" is F16 [2, 16]; it must be F32 or F16 or BF16 [2, 24].)"},
      {test::awq({}), shaped(".scales", {2, 8, 2}, 2),
       R"(tensor "a.scales" is F16 [2, 8, 2]; it must have two dimensions.)"},
      {test::awq({}), shaped(".scales", {4, 16}, 2),
       R"(tensor "a.qweight" has integers of 4 bits, scales F16 [4, 16]; by c.json it must have )"
       "integers of 4 bits, scales [2, 16], where quantization_config has bits 4, group_size 32."},
      {test::awq({}), said("group_size", 64),
       R"(tensor "a.qweight" has integers of 4 bits, scales F16 [2, 16]; by c.json it must have )"
       "integers of 4 bits, scales [1, 16], where quantization_config has bits 4, group_size 64."},
      {test::awq({}), typed(".scales", "I16"),
       R"(tensor "a.scales" is I16 [2, 16]; it must be F32 or F16 or BF16 [2, 16].)"},
      {test::awq({}), shaped(".qzeros", {2, 1}, 4),
       R"(tensor "a.qzeros" is I32 [2, 1]; it must be I32 [2, 2].)"},
      {test::awq({}), scale(".scales", -kInfinity),
       R"(tensor "a.scales" holds NaN or infinity, or scales that make weights infinite; all )"
       "must be finite."},
      {test::gptq({}), without(".qzeros"), R"(tensor "a.qweight" has no a.qzeros beside it.)"},
      {test::gptq({}), shaped(".g_idx", {63}, 4),
       R"(tensor "a.g_idx" is I32 [63]; it must be I32 [64].)"},
      {test::gptq({}), word(".g_idx", 3, -1),
       R"(tensor "a.g_idx" has -1 for column 3; it must be 0 to 1.)"},
      {test::gptq({}), word(".g_idx", 63, 2),
       R"(tensor "a.g_idx" has 2 for column 63; it must be 0 to 1.)"},
      {test::gptq({}), word(".g_idx", 3, 1),
       R"(tensor "a.g_idx" has groups whose columns are not neighbours, but )"
       "quantization_config.desc_act in c.json is not true."},
      {test::gptq({4, 32, false, true}), without(".g_idx"),
       R"(tensor "a.qweight" has no a.g_idx beside it, but quantization_config.desc_act in c.json )"
       "is true."},
      {test::gptq({}), without(".qweight"), R"(tensor "a.g_idx" has no a.qweight beside it.)"},
      {test::awq({}), without(".qweight"), R"(tensor "a.qzeros" has no a.qweight beside it.)"},
      {test::pack_quantized({}), without(".weight_packed"),
       R"(tensor "a.weight_shape" has no a.weight_packed beside it.)"},
      {test::gptq({}), word(".qzeros", 1, 0x77777776),
       R"(tensor "a.qzeros" has zero points other than 8, but quantization_config.sym in c.json )"
       "is not false."},
      {test::gptq({}), said("checkpoint_format", "gptq_v2"),
       R"(tensor "a.qzeros" has zero points other than 8, but quantization_config.sym in c.json )"
       "is not false."},
      {test::gptq({}), said("bits", 8),
       R"(tensor "a.qweight" has integers of 8 bits, scales F16 [2, 16]; by c.json it must have )"
       "integers of 8 bits, scales [1, 16], where quantization_config has bits 8, group_size 32."},
      {test::pack_quantized({}), without(".weight_shape"),
       R"(tensor "a.weight_packed" has no a.weight_shape beside it.)"},
      {test::pack_quantized({}), word(".weight_shape", 0, 17),
       R"(tensor "a.weight_packed" is I32 [16, 8], but a.weight_shape has 17 x 64; supported are )"
       "integers of 4 and 8 bits."},
      {test::pack_quantized({}), word(".weight_shape", 3, 1),
       R"(tensor "a.weight_packed" is I32 [16, 8], but a.weight_shape has 16 x 4294967360; )"
       "supported are integers of 4 and 8 bits."},
      {test::pack_quantized({}), shaped(".weight_packed", {16, 6}, 4),
       R"(tensor "a.weight_packed" is I32 [16, 6], but a.weight_shape has 16 x 64; supported are )"
       "integers of 4 and 8 bits."},
      {test::pack_quantized({4, 32, true}), without(".weight_zero_point"),
       R"(tensor "a.weight_packed" has integers of 4 bits, scales F16 [16, 2], no zero points; by )"
       "c.json it must have integers of 4 bits, scales [16, 2], zero points, where "
       "quantization_config.config_groups.group_0.weights has num_bits 4, group_size 32, symmetric "
       "false."},
      {test::pack_quantized({4, 32, false, true}), without(".weight_g_idx"),
       R"(tensor "a.weight_packed" has integers of 4 bits, scales F16 [16, 2], no zero points; by )"
       "c.json it must have integers of 4 bits, scales [16, 2], no zero points, weight_g_idx, "
       "where "
       "quantization_config.config_groups.group_0.weights has num_bits 4, group_size 32, symmetric "
       "true, actorder \"group\"."},
      {test::pack_quantized({4, 32, false, true}), actorder("weight"),
       R"(tensor "a.weight_packed" has integers of 4 bits, scales F16 [16, 2], no zero points, )"
       "weight_g_idx; by c.json it must have integers of 4 bits, scales [16, 2], no zero points, "
       "no "
       "weight_g_idx, where quantization_config.config_groups.group_0.weights has num_bits 4, "
       "group_size 32, symmetric true."},
      {test::pack_quantized({4, 32, false, true}), word(".weight_g_idx", 3, -1),
       R"(tensor "a.weight_g_idx" has -1 for column 3; it must be 0 to 1.)"},
      {test::pack_quantized({4, 32, true}), typed(".weight_zero_point", "F32"),
       R"(tensor "a.weight_zero_point" is F32 [2, 2]; it must be I32 [2, 2].)"},
      {test::pack_quantized({}), scale(".weight_scale", kInfinity),
       R"(tensor "a.weight_scale" holds NaN or infinity, or scales that make weights infinite; all )"
       "must be finite."},
      {test::fp8_blocks(8, 32, "F32"), without("_inv"),
       R"(tensor "a.weight" has no a.weight_scale_inv beside it.)"},
      {test::fp8_blocks(8, 32, "F32"), shaped("_inv", {2, 3}, 4),
       R"(tensor "a.weight" has floats of 8 bits, scales F32 [2, 3]; by c.json it must have )"
       "scales [2, 2], where quantization_config.weight_block_size is [8, 32]."},
      {test::fp8_blocks(8, 32, "F32"), said("weight_block_size", {8, 8}),
       R"(tensor "a.weight" has floats of 8 bits, scales F32 [2, 2]; by c.json it must have )"
       "scales [2, 8], where quantization_config.weight_block_size is [8, 8]."},
      {test::fp8_blocks(8, 32, "F32"), typed("_inv", "I32"),
       R"(tensor "a.weight_scale_inv" is I32 [2, 2]; it must be F32 or F16 or BF16 [2, 2].)"},
      {test::fp8_blocks(8, 32, "F32"), shaped(".weight", {16, 64, 1}, 1),
       R"(tensor "a.weight" is F8_E4M3 [16, 64, 1]; it must be F8_E4M3, with two dimensions of 1 )"
       "to 16777216."},
      {test::fp8_blocks(8, 32, "F32"), scale("_inv", 1e36f),
       R"(tensor "a.weight_scale_inv" holds NaN or infinity, or scales that make weights infinite; all )"
       "must be finite."},
      {test::float_quantized("channel", "F32"), scale("weight_scale", kNan),
       R"(tensor "a.weight_scale" holds NaN or infinity, or scales that make weights infinite; all )"
       "must be finite."},
      {test::float_quantized("channel", "F32"), shaped("weight_scale", {1}, 4),
       R"(tensor "a.weight" has floats of 8 bits, scales F32 [1]; by c.json it must have scales )"
       R"([16, 1], where quantization_config.config_groups.group_0.weights.strategy is "channel".)"},
  };
  std::mt19937 random(1);
  for (const Broken& broken : kCases) {
    SCOPED_TRACE(broken.format.config.dump());
    QuantizedMatrix matrix = broken.format.make("a", 16, 64, random);
    json config = broken.format.config;
    broken.change(matrix, config);
    const std::string file = test::safetensors_file(matrix.tensors);
    expect_error(ErrorKind::kFile, "m.safetensors: " + broken.problem,
                 [&] { resolve(file, config); });
  }
}

TEST(Quantized, RefusesWhatIsThereTwice) {
  std::mt19937 random(1);
  const QuantizedFormat format = test::awq({});
  QuantizedMatrix matrix = format.make("a", 16, 64, random);
  matrix.tensors.push_back(test::floats("a.weight", "F32", {1}, {1}));
  const std::string file = test::safetensors_file(matrix.tensors);
  expect_error(ErrorKind::kFile,
               R"(c.json: the tensor "a.weight" is there twice, quantized and not.)",
               [&] { resolve(file, format.config); });
}

TEST(Quantized, RefusesTypesThatAreNoPart) {
  std::mt19937 random(1);
  const QuantizedFormat format = test::awq({});
  QuantizedMatrix matrix = format.make("a", 16, 64, random);
  // Of another method than config.json says.
  expect_error(ErrorKind::kUnsupported,
               R"(m.safetensors: dtype of tensor "a.qweight" is "I32"; supported are "F32", "F16" )"
               R"(and "BF16", and what quantization_config in config.json describes.)",
               [&] {
                 resolve(test::safetensors_file(matrix.tensors), {{"quant_method", "fp8"}});
               });
  matrix.tensors.push_back({"b.weight", "I8", {1}, "b"});
  const std::string file = test::safetensors_file(matrix.tensors);
  expect_error(ErrorKind::kUnsupported,
               R"(m.safetensors: dtype of tensor "b.weight" is "I8"; supported are "F32", "F16" )"
               R"(and "BF16".)",
               [&] { resolve(file, format.config); });
}

TEST(Quantized, NanIsNotFinite) {
  std::mt19937 random(1);
  const QuantizedFormat format = test::fp8_blocks(8, 32, "F32");
  for (const char nan : {'\x7f', '\xff'}) {
    QuantizedMatrix matrix = format.make("a", 16, 64, random);
    part_of(matrix, ".weight").bytes[5 * 64] = nan;
    const std::string file = test::safetensors_file(matrix.tensors);
    const std::vector<Tensor> tensors = resolve(file, format.config);
    EXPECT_FALSE(tensors[0].encoding->finite(0, 16));
    EXPECT_FALSE(tensors[0].encoding->finite(5, 1));
    EXPECT_TRUE(tensors[0].encoding->finite(0, 5));
    EXPECT_TRUE(tensors[0].encoding->finite(6, 10));
  }
}

TEST(Quantized, RefusesConfigurationsThatItDoesNotRead) {
  constexpr auto kFile = ErrorKind::kFile, kUnsupported = ErrorKind::kUnsupported;
  const json awq = test::awq({}).config, gptq = test::gptq({}).config;
  const json fp8 = test::fp8_blocks(128, 128, "F32").config;
  const json packed = test::pack_quantized({}).config;
  const json floats = test::float_quantized("tensor", "F32").config;
  const std::string kMethods =
      R"(supported are "fp8", "awq", "gptq" and "compressed-tensors"; a GGUF file of the model is, )"
      "too, and its original in 16 bits.";
  const std::string kGroup = "config_groups.group_0.";
  const struct {
    json config;
    std::string pointer;
    json value;
    ErrorKind kind;
    std::string problem;
  } kCases[] = {
      {awq, "/quant_method", "bitsandbytes", kUnsupported,
       R"(quant_method is "bitsandbytes"; )" + kMethods},
      {awq, "/quant_method", nullptr, kUnsupported, "quant_method is null; " + kMethods},
      {awq, "/bits", 8, kUnsupported, "bits is 8; supported is 4."},
      {awq, "/bits", "4", kFile, R"(bits is "4"; supported is 4.)"},
      {awq, "/bits", nullptr, kFile, "bits is null; supported is 4."},
      {awq, "/version", "gemv", kUnsupported,
       R"(version is "gemv"; supported are "gemm" and "GEMM".)"},
      {awq, "/backend", "llm-awq", kUnsupported,
       R"(backend is "llm-awq"; supported is "autoawq".)"},
      {awq, "/zero_point", false, kUnsupported, "zero_point is false; supported is true."},
      {awq, "/group_size", 0, kFile, "group_size is 0; it must be -1 or above 0."},
      {awq, "/group_size", -2, kFile, "group_size is -2; it must be an integer from -1 to 524288."},
      {gptq, "/bits", 3, kUnsupported, "bits is 3; supported are 4 and 8."},
      {gptq, "/checkpoint_format", "marlin", kUnsupported,
       R"(checkpoint_format is "marlin"; supported are "gptq" and "gptq_v2".)"},
      {gptq, "/format", "gptq_v2", kFile,
       R"(format is "gptq_v2"; it must be what checkpoint_format is, "gptq".)"},
      {gptq, "/is_marlin_format", true, kUnsupported,
       "is_marlin_format is true; the field is not supported."},
      {gptq,
       "/dynamic",
       {{"+:.*down.*", {{"bits", 8}}}},
       kUnsupported,
       R"(dynamic is {"+:.*down.*":{"bits":8}}; the field is not supported.)"},
      {gptq, "/sym", 1, kFile, "sym is 1; it must be true or false."},
      {gptq, "/pack_dtype", "int16", kUnsupported,
       R"(pack_dtype is "int16"; supported is "int32".)"},
      {fp8, "/fmt", "e5m2", kUnsupported, R"(fmt is "e5m2"; supported is "e4m3".)"},
      {fp8,
       "/weight_block_size",
       {128, 0},
       kFile,
       "weight_block_size is [128,0]; it must be a list of two integers from 1 to 524288."},
      {fp8,
       "/weight_block_size",
       {128},
       kFile,
       "weight_block_size is [128]; it must be a list of two integers from 1 to 524288."},
      {packed, "/format", "int-quantized", kUnsupported,
       R"(format is "int-quantized"; supported are "pack-quantized", "float-quantized" and )"
       R"("mixed-precision".)"},
      {packed, "/format", "float-quantized", kFile,
       R"(format is "float-quantized"; quantization_config.config_groups.group_0.weights.type is )"
       R"("int", so it must be "pack-quantized".)"},
      {floats, "/config_groups/group_0/format", "pack-quantized", kFile,
       kGroup + R"(format is "pack-quantized"; quantization_config.config_groups.group_0.weights.)"
                R"(type is "float", so it must be "float-quantized".)"},
      {packed, "/config_groups/group_0/weights/actorder", "column", kUnsupported,
       kGroup + R"(weights.actorder is "column"; supported are "weight", "static", "group" and )"
                R"("dynamic".)"},
      {packed, "/quantization_status", "frozen", kUnsupported,
       R"(quantization_status is "frozen"; supported is "compressed".)"},
      {packed,
       "/sparsity_config",
       {{"format", "sparse-24-bitmask"}},
       kUnsupported,
       R"(sparsity_config.format is "sparse-24-bitmask"; supported is "dense".)"},
      {packed,
       "/transform_config",
       {{"config_groups", 1}},
       kUnsupported,
       R"(transform_config is {"config_groups":1}; the field is not supported.)"},
      {packed, "/config_groups", json::object(), kFile,
       "config_groups is {}; it must be an object that has a group at least."},
      {packed, "/config_groups/group_0", 5, kFile,
       "config_groups.group_0 is 5; it must be an object."},
      {packed, "/config_groups/group_0/weights", nullptr, kFile,
       kGroup + "weights is null; it must be an object."},
      {packed, "/config_groups/group_0/weights/num_bits", 2, kUnsupported,
       kGroup + "weights.num_bits is 2; supported are 4 and 8."},
      {packed, "/config_groups/group_0/weights/strategy", "tensor", kUnsupported,
       kGroup + R"(weights.strategy is "tensor"; supported are "group" and "channel".)"},
      {packed,
       "/config_groups/group_0/input_activations",
       {{"num_bits", 8}, {"type", "int"}},
       kUnsupported,
       kGroup + R"(input_activations.type is "int"; supported is "float".)"},
      {packed,
       "/config_groups/group_0/input_activations",
       {{"num_bits", 8}},
       kUnsupported,
       kGroup + R"(input_activations.type is missing; supported is "float".)"},
      {floats, "/config_groups/group_0/weights/num_bits", 4, kUnsupported,
       kGroup + "weights.num_bits is 4; supported is 8."},
      {floats, "/config_groups/group_0/weights/strategy", "tensor_group", kUnsupported,
       kGroup +
           R"(weights.strategy is "tensor_group"; supported are "tensor", "channel" and "block".)"},
  };
  for (const auto& c : kCases) {
    json config = c.config;
    config[json::json_pointer(c.pointer)] = c.value;
    expect_error(c.kind, "c.json: quantization_config." + c.problem,
                 [&] { quantization_of(config); });
  }
  expect_error(kFile, "c.json: quantization_config is 4; it must be an object.",
               [] { quantization_of(4); });
}

}  // namespace
}  // namespace orthrus
