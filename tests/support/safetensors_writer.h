// Writes safetensors files for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/formats/format.h"

namespace orthrus::test {

struct TensorToWrite {
  std::string name;
  DType type = DType::kF32;
  std::vector<int64_t> shape;
  std::string bytes;  // as they are to lie in the file
};

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

// A file with any header, padded with spaces so that the data is aligned to 8.
inline std::string safetensors_file(std::string header, std::string_view data) {
  header.resize((header.size() + 7) / 8 * 8, ' ');
  std::string file;
  for (size_t i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i));
  return file.append(header).append(data);
}

// A tensor of any type that safetensors has: "I32".
struct RawTensor {
  std::string name, type;
  std::vector<int64_t> shape;
  std::string bytes;
};

// A well-formed file, the tensors one after the other.
inline std::string safetensors_file(const std::vector<RawTensor>& tensors,
                                    const std::map<std::string, std::string>& metadata = {
                                        {"format", "pt"}}) {
  nlohmann::json header = {{"__metadata__", metadata}};
  std::string data;
  for (const RawTensor& tensor : tensors) {
    const size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = {
        {"dtype", tensor.type}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  return safetensors_file(header.dump(), data);
}

inline RawTensor raw(const TensorToWrite& tensor) {
  return {tensor.name, std::string(name_of(tensor.type)), tensor.shape, tensor.bytes};
}

// Wider types first, as the reference implementation aligns tensors.
inline std::string safetensors_file(const std::vector<TensorToWrite>& tensors,
                                    const std::map<std::string, std::string>& metadata = {
                                        {"format", "pt"}}) {
  std::vector<RawTensor> by_width;
  for (const int width : {4, 2}) {
    for (const TensorToWrite& tensor : tensors) {
      if (format_of(tensor.type).block_bytes == width) by_width.push_back(raw(tensor));
    }
  }
  return safetensors_file(by_width, metadata);
}

inline void write_safetensors(const std::filesystem::path& path,
                              const std::vector<TensorToWrite>& tensors) {
  write_file(path, safetensors_file(tensors));
}

}  // namespace orthrus::test
