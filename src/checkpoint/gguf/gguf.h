// The GGUF format, versions 2 and 3, little-endian: a header, metadata, a table of tensors, then
// the tensors' bytes. The specification is docs/gguf.md of ggml.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/gguf/metadata.h"
#include "checkpoint/tensor.h"
#include "files/files.h"

namespace orthrus {

// What one file holds. All of it points into the file's bytes.
struct GgufFile {
  GgufMetadata metadata;
  std::vector<Tensor> tensors;  // by GGUF's names, sorted; shapes row-major, as everywhere here
};

// `name` stands for the file in messages. Throws Error: kFile for a malformed file, kUnsupported
// for other versions and for tensors of other types than DType's. Tensors do not overlap; the
// padding between them and after them is not looked at.
GgufFile parse_gguf(std::span<const std::byte> bytes, const std::string& name);

// A model in one file, or in several: NAME-00001-of-0000N.gguf.
struct GgufModel {
  std::string name;              // of the first file, for messages
  std::vector<MappedFile> maps;  // what the rest points into
  GgufMetadata metadata;         // the first file's
  std::vector<Tensor> tensors;   // of all files, sorted by name
};

// The name of a model's file or files, without what comes after the model's own name.
std::string gguf_stem(const std::filesystem::path& path);

// `path` is the file, or any of several. Throws as parse_gguf, and Error(kFile) when files are
// missing or do not belong together.
GgufModel open_gguf(const std::filesystem::path& path);

}  // namespace orthrus
