// A model directory in the published Hugging Face layout: all tensors of model.safetensors, or of
// the shards that model.safetensors.index.json names, memory-mapped.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "checkpoint/tensor.h"

namespace orthrus {

// Move-only; tensors' data stays valid, and the maps read-only, while the Checkpoint lives.
// The files must not be changed meanwhile: see MappedFile.
class Checkpoint {
 public:
  // Where both model.safetensors and an index are there, reads the first, as transformers does.
  // Throws Error: kFile for a missing, unreadable or malformed file, or for shards that differ from
  // their index; kUnsupported for tensors of types other than F32, F16 and BF16; kSystem when a
  // file cannot be mapped. The message names file and tensor.
  static Checkpoint open(const std::filesystem::path& directory);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::vector<Tensor>& tensors() const;       // sorted by name
  const Tensor* find(std::string_view name) const;  // null when there is none

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus
