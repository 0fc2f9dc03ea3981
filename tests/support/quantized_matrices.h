// Quantized matrices as people's Hugging Face directories have them, and the numbers that they
// stand for. Written from the formats' descriptions, one integer at a time, and sharing nothing
// with what reads them.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/half.h"
#include "support/safetensors_writer.h"

namespace orthrus::test {

// A table of integers or floats, row by row.
template <typename T>
struct Table {
  Table(int64_t rows, int64_t columns)
      : rows(rows), columns(columns), values(static_cast<size_t>(rows * columns)) {}
  T& operator()(int64_t row, int64_t column) {
    return values[static_cast<size_t>(row * columns + column)];
  }
  const T& operator()(int64_t row, int64_t column) const {
    return values[static_cast<size_t>(row * columns + column)];
  }
  int64_t rows, columns;
  std::vector<T> values;
};

inline Table<int> transposed(const Table<int>& from) {
  Table<int> to(from.columns, from.rows);
  for (int64_t r = 0; r < from.rows; ++r) {
    for (int64_t c = 0; c < from.columns; ++c) to(c, r) = from(r, c);
  }
  return to;
}

// 32 / bits neighbours of a row in each word, the first in its lowest bits; `order` says which of
// the neighbours is in which place.
inline Table<int> packed(const Table<int>& from, int bits, const std::vector<int>& order = {}) {
  const int per_word = 32 / bits;
  Table<int> to(from.rows, (from.columns + per_word - 1) / per_word);
  for (int64_t r = 0; r < from.rows; ++r) {
    for (int64_t w = 0; w < to.columns; ++w) {
      uint32_t word = 0;
      for (int i = 0; i < per_word; ++i) {
        const int64_t column = w * per_word + (order.empty() ? i : order[static_cast<size_t>(i)]);
        if (column < from.columns) word |= static_cast<uint32_t>(from(r, column)) << (bits * i);
      }
      to(r, w) = static_cast<int>(word);
    }
  }
  return to;
}

inline RawTensor words(const std::string& name, const Table<int>& table) {
  return {name,
          "I32",
          {table.rows, table.columns},
          std::string(reinterpret_cast<const char*>(table.values.data()),
                      table.values.size() * sizeof(int))};
}

// Floats that `type` has exactly.
inline RawTensor floats(const std::string& name, const std::string& type,
                        std::vector<int64_t> shape, const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) {
    if (type == "F32") bytes.append(reinterpret_cast<const char*>(&value), 4);
    const uint16_t half = type == "F16" ? to_f16(value).bits : to_bf16(value).bits;
    if (type != "F32") bytes.append(reinterpret_cast<const char*>(&half), 2);
  }
  return {name, type, std::move(shape), bytes};
}

inline float rounded(const std::string& type, float value) {
  if (type == "F16") return to_float(to_f16(value));
  if (type == "BF16") return to_float(to_bf16(value));
  return value;
}

struct QuantizedMatrix {
  std::vector<RawTensor> tensors;
  std::vector<float> numbers;  // [rows][columns], as float32
};

struct QuantizedFormat {
  std::string name;
  nlohmann::json config;  // quantization_config
  DType type;             // that has its very numbers, where rows are whole blocks
  std::function<QuantizedMatrix(const std::string& module, int rows, int columns,
                                std::mt19937& random)>
      make;
};

// What all formats of integers have in common.
struct Integers {
  int bits = 4;
  int group = 32;  // columns; 0: a whole row
  bool zeros = false;
  bool shuffled = false;  // columns are of any group
  std::string scale_type = "F16";
};

struct IntegerTables {
  IntegerTables(int rows, int columns, int groups)
      : integers(rows, columns), zeros(rows, groups), scales(rows, groups), groups(1, columns) {}
  Table<int> integers, zeros;
  Table<float> scales;
  Table<int> groups;  // of columns
  std::vector<float> numbers;
};

inline IntegerTables integer_tables(const Integers& format, int rows, int columns,
                                    std::mt19937& random) {
  const int group = format.group == 0 ? columns : format.group;
  const int most = (1 << format.bits) - 1;
  IntegerTables tables(rows, columns, (columns + group - 1) / group);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int& integer : tables.integers.values) integer = pick(0, most);
  for (int& zero : tables.zeros.values) zero = format.zeros ? pick(0, most) : most / 2 + 1;
  std::uniform_real_distribution<float> size(0.2f, 2);
  for (float& scale : tables.scales.values) {
    scale = rounded(format.scale_type, size(random) / (static_cast<float>(most) *
                                                       std::sqrt(static_cast<float>(columns))));
  }
  for (int k = 0; k < columns; ++k) tables.groups(0, k) = k / group;
  if (format.shuffled)
    std::shuffle(tables.groups.values.begin(), tables.groups.values.end(), random);
  for (int n = 0; n < rows; ++n) {
    for (int k = 0; k < columns; ++k) {
      const int g = tables.groups(0, k);
      tables.numbers.push_back(static_cast<float>(tables.integers(n, k) - tables.zeros(n, g)) *
                               tables.scales(n, g));
    }
  }
  return tables;
}

inline std::vector<float> scales_by_group(const Table<float>& scales) {
  std::vector<float> by_group;
  for (int64_t g = 0; g < scales.columns; ++g) {
    for (int64_t n = 0; n < scales.rows; ++n) by_group.push_back(scales(n, g));
  }
  return by_group;
}

inline QuantizedFormat awq(const Integers& given) {
  Integers format = given;
  format.zeros = true;
  return {"AWQ",
          {{"quant_method", "awq"},
           {"bits", 4},
           {"group_size", format.group == 0 ? -1 : format.group},
           {"version", "gemm"},
           {"zero_point", true},
           {"modules_to_not_convert", nullptr}},
          format.group % 32 == 0 ? DType::kQ8_0 : DType::kF32,
          [format](const std::string& module, int rows, int columns, std::mt19937& random) {
            const IntegerTables t = integer_tables(format, rows, columns, random);
            const std::vector<int> order = {0, 2, 4, 6, 1, 3, 5, 7};
            return QuantizedMatrix{
                {words(module + ".qweight", packed(transposed(t.integers), 4, order)),
                 words(module + ".qzeros", packed(transposed(t.zeros), 4, order)),
                 floats(module + ".scales", format.scale_type, {t.scales.columns, rows},
                        scales_by_group(t.scales))},
                t.numbers};
          }};
}

// GPTQ's first format stores zero points less one, its second as they are.
inline QuantizedFormat gptq(const Integers& format, int version = 1) {
  const DType type = format.shuffled || (format.bits == 8 && format.zeros) ? DType::kF32
                     : format.bits == 8 || format.zeros                    ? DType::kQ8_0
                                                                           : DType::kQ4_0;
  return {
      "GPTQ",
      {{"quant_method", "gptq"},
       {"bits", format.bits},
       {"group_size", format.group == 0 ? -1 : format.group},
       {"sym", !format.zeros},
       {"desc_act", format.shuffled},
       {"checkpoint_format", version == 1 ? "gptq" : "gptq_v2"}},
      type,
      [format, version](const std::string& module, int rows, int columns, std::mt19937& random) {
        const IntegerTables t = integer_tables(format, rows, columns, random);
        Table<int> zeros = transposed(t.zeros);
        const int most = (1 << format.bits) - 1;
        if (version == 1) {
          for (int& zero : zeros.values) zero = zero == 0 ? most : zero - 1;
        }
        RawTensor groups = words(module + ".g_idx", t.groups);
        groups.shape = {columns};
        return QuantizedMatrix{
            {groups, words(module + ".qweight", transposed(packed(t.integers, format.bits))),
             words(module + ".qzeros", packed(zeros, format.bits)),
             floats(module + ".scales", format.scale_type, {t.scales.columns, rows},
                    scales_by_group(t.scales))},
            t.numbers};
      }};
}

inline nlohmann::json compressed_tensors(const std::string& format, const nlohmann::json& weights,
                                         const nlohmann::json& activations = nullptr) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"quantization_status", "compressed"},
          {"ignore", {"lm_head"}},
          {"kv_cache_scheme", nullptr},
          {"config_groups",
           {{"group_0",
             {{"targets", {"Linear"}},
              {"weights", weights},
              {"input_activations", activations},
              {"output_activations", nullptr}}}}}};
}

inline QuantizedFormat pack_quantized(const Integers& format) {
  const DType type = format.shuffled || (format.bits == 8 && format.zeros) ? DType::kF32
                     : format.bits == 8 || format.zeros                    ? DType::kQ8_0
                                                                           : DType::kQ4_0;
  const nlohmann::json weights = {
      {"num_bits", format.bits},
      {"type", "int"},
      {"symmetric", !format.zeros},
      {"strategy", format.group == 0 ? "channel" : "group"},
      {"group_size", format.group == 0 ? nlohmann::json() : nlohmann::json(format.group)},
      {"actorder", format.shuffled ? nlohmann::json("group") : nlohmann::json()},
      {"dynamic", false}};
  return {"pack-quantized", compressed_tensors("pack-quantized", weights), type,
          [format](const std::string& module, int rows, int columns, std::mt19937& random) {
            // Signed integers, to which packing adds 8 or 128: the stored ones are as the others'.
            const IntegerTables t = integer_tables(format, rows, columns, random);
            const std::vector<int64_t> shape = {rows, columns};
            QuantizedMatrix matrix{
                {words(module + ".weight_packed", packed(t.integers, format.bits)),
                 floats(module + ".weight_scale", format.scale_type, {rows, t.scales.columns},
                        t.scales.values),
                 {module + ".weight_shape",
                  "I64",
                  {2},
                  std::string(reinterpret_cast<const char*>(shape.data()), 16)}},
                t.numbers};
            if (format.zeros) {
              matrix.tensors.push_back(words(module + ".weight_zero_point",
                                             transposed(packed(transposed(t.zeros), format.bits))));
            }
            if (format.shuffled) {
              matrix.tensors.push_back(words(module + ".weight_g_idx", t.groups));
              matrix.tensors.back().shape = {columns};
            }
            return matrix;
          }};
}

// E4M3 by its definition.
inline float e4m3(int byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
}

// Scales by blocks of rows and columns; 0: all of them.
inline QuantizedMatrix fp8_matrix(const std::string& module, const std::string& scale, int rows,
                                  int columns, int block_rows, int block_columns,
                                  const std::string& scale_type, bool of_no_dimensions,
                                  std::mt19937& random) {
  if (block_rows == 0) block_rows = rows;
  if (block_columns == 0) block_columns = columns;
  Table<float> scales((rows + block_rows - 1) / block_rows,
                      (columns + block_columns - 1) / block_columns);
  std::uniform_real_distribution<float> size(0.2f, 2);
  for (float& value : scales.values) {
    value = rounded(scale_type, size(random) / (100 * std::sqrt(static_cast<float>(columns))));
  }
  QuantizedMatrix matrix;
  std::string bytes;
  for (int n = 0; n < rows; ++n) {
    for (int k = 0; k < columns; ++k) {
      int byte = std::uniform_int_distribution<int>(0, 255)(random);
      if ((byte & 0x7f) == 0x7f) byte = 0;
      bytes += static_cast<char>(byte);
      matrix.numbers.push_back(e4m3(byte) * scales(n / block_rows, k / block_columns));
    }
  }
  const std::vector<int64_t> shape =
      of_no_dimensions ? std::vector<int64_t>() : std::vector{scales.rows, scales.columns};
  matrix.tensors = {{module + ".weight", "F8_E4M3", {rows, columns}, bytes},
                    floats(module + "." + scale, scale_type, shape, scales.values)};
  return matrix;
}

inline QuantizedFormat fp8_blocks(int block_rows, int block_columns,
                                  const std::string& scale_type) {
  return {"FP8",
          {{"quant_method", "fp8"},
           {"activation_scheme", "dynamic"},
           {"fmt", "e4m3"},
           {"weight_block_size", {block_rows, block_columns}}},
          DType::kF32,
          [=](const std::string& module, int rows, int columns, std::mt19937& random) {
            return fp8_matrix(module, "weight_scale_inv", rows, columns, block_rows, block_columns,
                              scale_type, false, random);
          }};
}

inline QuantizedFormat float_quantized(const std::string& strategy, const std::string& scale_type) {
  const nlohmann::json weights = {
      {"num_bits", 8}, {"type", "float"}, {"symmetric", true}, {"strategy", strategy}};
  const nlohmann::json activations = {
      {"num_bits", 8}, {"type", "float"}, {"dynamic", true}, {"strategy", "token"}};
  return {"float-quantized", compressed_tensors("float-quantized", weights, activations),
          DType::kF32, [=](const std::string& module, int rows, int columns, std::mt19937& random) {
            QuantizedMatrix matrix =
                fp8_matrix(module, "weight_scale", rows, columns, strategy == "tensor" ? 0 : 1, 0,
                           scale_type, strategy == "tensor", random);
            matrix.tensors.push_back(floats(module + ".input_scale", "F32", {1}, {0.5f}));
            return matrix;
          }};
}

// One of each kind that is read. Rows must be a multiple of 8 with the first ones.
inline std::vector<QuantizedFormat> quantized_formats() {
  const std::vector<QuantizedFormat> formats = {
      awq({}),
      awq({4, 0}),
      gptq({}),
      gptq({4, 32, true}),
      gptq({4, 32, true}, 2),
      gptq({4, 32, false, true}),
      gptq({8, 32}),
      gptq({8, 32, true, true}, 2),
      pack_quantized({}),
      pack_quantized({4, 32, true}),
      pack_quantized({4, 32, true, true}),
      pack_quantized({8, 0}),
      pack_quantized({8, 0, true, false, "BF16"}),
      pack_quantized({4, 0, true, false, "BF16"}),
      fp8_blocks(128, 128, "BF16"),
      fp8_blocks(24, 40, "F32"),
      float_quantized("tensor", "F32"),
      float_quantized("tensor", "BF16"),
      float_quantized("channel", "BF16"),
  };
  return formats;
}

}  // namespace orthrus::test
