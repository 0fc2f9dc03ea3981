// quantization_config of config.json: how a model's matrices are quantized.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/huggingface/json_fields.h"

namespace orthrus {

// What a file says of one sort of matrices.
struct QuantizationScheme {
  bool is_float = false;  // F8_E4M3, else integers
  int bits = 0;           // 4 or 8
  bool symmetric = true;  // all zero points are the middle
  // Of the rectangles that share a scale; 0: all that there are.
  int scale_rows = 0, scale_columns = 0;
  std::string fields{};        // that say so, for messages
  bool by_activation = false;  // compressed-tensors: weight_g_idx says which columns share a scale
};

struct Quantization {
  enum class Method { kFp8, kAwq, kGptq, kCompressedTensors };

  std::string file;  // config.json, for messages
  Method method = Method::kFp8;
  std::vector<QuantizationScheme> schemes;  // a matrix is of one of them
  bool zeros_less_one =
      false;  // stored zero points are one less than they are: GPTQ's first format
  bool columns_in_order = true;  // a group's columns are neighbours
};

// What quantization_config says, nothing where there is none. Problems are added to `problems`, and
// what is returned then is not to be used. `config` is the object of config.json, `file` its name.
std::optional<Quantization> read_quantization(const nlohmann::json& config, const std::string& file,
                                              Problems& problems);

}  // namespace orthrus
