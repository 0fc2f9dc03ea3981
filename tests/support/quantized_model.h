// Whole models whose projections are quantized, and the same with the numbers in F32.
#pragma once

#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "support/quantized_matrices.h"
#include "support/random_checkpoint.h"

namespace orthrus::test {

inline nlohmann::json quantizable_config_json(const std::string& architecture) {
  nlohmann::json config = small_config_json();
  config["architectures"] = {architecture};
  config["hidden_size"] = 64;
  config["intermediate_size"] = 96;
  config["num_attention_heads"] = 4;
  config["num_key_value_heads"] = 2;
  config["head_dim"] = 16;
  return config;
}

// Writes both directories, which must be there. All matrices but the embedding and the LM head are
// quantized; beside the quantized ones lie biases of zeros, as some writers leave them.
inline void write_quantized(const std::filesystem::path& quantized,
                            const std::filesystem::path& in_f32, const std::string& architecture,
                            const QuantizedFormat& format, unsigned seed = 1) {
  nlohmann::json config = quantizable_config_json(architecture);
  write_config(in_f32, config);
  std::vector<TensorToWrite> wide = random_tensors(load_config(in_f32), DType::kF32, seed);
  config["quantization_config"] = format.config;
  write_config(quantized, config);
  std::mt19937 random(seed);
  std::vector<RawTensor> stored;
  for (TensorToWrite& tensor : wide) {
    const size_t end = tensor.name.rfind(".weight");
    if (tensor.shape.size() != 2 || tensor.name.find("_proj") == tensor.name.npos) {
      stored.push_back(raw(tensor));
      continue;
    }
    const std::string module = tensor.name.substr(0, end);
    QuantizedMatrix matrix = format.make(module, static_cast<int>(tensor.shape[0]),
                                         static_cast<int>(tensor.shape[1]), random);
    std::ranges::move(matrix.tensors, std::back_inserter(stored));
    tensor.bytes.assign(reinterpret_cast<const char*>(matrix.numbers.data()),
                        matrix.numbers.size() * sizeof(float));
    if (module.find("o_proj") != module.npos) {
      stored.push_back(floats(module + ".bias", "F16", {tensor.shape[0]},
                              std::vector<float>(static_cast<size_t>(tensor.shape[0]))));
    }
  }
  write_file(quantized / "model.safetensors", safetensors_file(stored));
  write_safetensors(in_f32 / "model.safetensors", wide);
}

}  // namespace orthrus::test
