#include "checkpoint/heads.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <map>
#include <utility>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/model.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/limits.h"
#include "checkpoint/model_path.h"
#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;

bool is_gguf_file(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
}

// An integer that safetensors' metadata, all strings, has under `key`.
std::optional<int> integer_in(const std::map<std::string, std::string>& metadata,
                              const std::string& key, int low, int high, const std::string& file) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  const std::string& text = found->second;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: {} in __metadata__ is {}; it must be an integer from {} to {}.",
                            file, key, in_quotes(text), low, high));
  }
  return value;
}

void read_safetensors(Heads& heads) {
  SafetensorsFile file = parse_safetensors(heads.map.bytes(), heads.name);
  heads.block_size = integer_in(file.metadata, "block_size", 2, limits::kBlock, heads.name);
  heads.mask_token_id =
      integer_in(file.metadata, "mask_token_id", 0, limits::kVocab - 1, heads.name);
  if (const auto base = file.metadata.find("base"); base != file.metadata.end()) {
    heads.base = base->second;
  }
  heads.tensors = as_tensors(std::move(file.tensors));
}

void read_gguf(Heads& heads) {
  GgufFile file = parse_gguf(heads.map.bytes(), heads.name);
  Problems problems;
  const GgufFields fields(file.metadata, heads.name, problems);
  constexpr const char* kArchitecture = "general.architecture";
  const std::string_view architecture = fields.text(kArchitecture);
  if (problems.none() && architecture != "orthrus-heads" && architecture != "orthrus") {
    fields.refuse(kArchitecture, "heads are \"orthrus-heads\", or in a model that is \"orthrus\"");
  }
  problems.throw_if_any();
  constexpr const char* kBlock = "orthrus.diffusion.block_size";
  constexpr const char* kMask = "tokenizer.ggml.mask_token_id";
  if (fields.has(kBlock)) heads.block_size = fields.integer(kBlock, 2, limits::kBlock);
  if (fields.has(kMask)) heads.mask_token_id = fields.integer(kMask, 0, limits::kVocab - 1);
  heads.base = fields.text("orthrus.heads.base", "");
  problems.throw_if_any();
  if (architecture == "orthrus") {
    std::erase_if(file.tensors, [](const Tensor& tensor) {
      return tensor.name.find("_diff.") == std::string::npos;
    });
  }
  translate_names(file.tensors, heads.name);
  heads.tensors = std::move(file.tensors);
}

std::optional<fs::path> heads_beside(const fs::path& model) {
  std::vector<fs::path> candidates;
  fs::path directory = model;
  if (is_gguf(model)) {
    directory = model.parent_path();
    const std::string stem = gguf_stem(model);
    candidates = {directory / (stem + ".heads.gguf"), directory / (stem + ".heads.safetensors")};
  }
  candidates.push_back(directory / "heads.gguf");
  candidates.push_back(directory / "heads.safetensors");
  for (const fs::path& candidate : candidates) {
    if (has_entry(candidate)) return candidate;
  }
  return std::nullopt;
}

}  // namespace

Heads open_heads(const fs::path& file) {
  Heads heads{shown(file), {}, {}, {}, MappedFile::open(file), {}};
  if (is_gguf_file(heads.map.bytes())) {
    read_gguf(heads);
  } else {
    read_safetensors(heads);
  }
  return heads;
}

int pair_rank_of(std::span<const Tensor> tensors, const std::string& file) {
  for (const char* name : {"model.pair_previous_diff.weight", "model.pair_next_diff.weight"}) {
    const auto tensor = std::ranges::lower_bound(tensors, name, {}, &Tensor::name);
    if (tensor == tensors.end() || tensor->name != name) continue;
    const std::vector<int64_t>& shape = tensor->shape;
    if (shape.size() == 2 && shape[1] >= 1 && shape[1] <= limits::kPairRank) {
      return static_cast<int>(shape[1]);
    }
    throw Error(ErrorKind::kFile,
                fmt::format("{}: {} has shape [{}]; it must be a table of the vocabulary's rows "
                            "and 1 to {} columns.",
                            file, name, fmt::join(shape, ", "), limits::kPairRank));
  }
  return 0;
}

std::optional<fs::path> find_heads(const fs::path& model) {
  std::optional<fs::path> found = heads_beside(model);
  for (const fs::path& target : targets_of_link(model)) {
    if (!found) found = heads_beside(target);
  }
  return found;
}

bool is_name_of_heads(const fs::path& name) {
  const fs::path kind = name.extension();
  return (kind == ".gguf" || kind == ".safetensors") &&
         (name.stem() == "heads" || name.stem().extension() == ".heads");
}

bool may_be_same_model(const std::string& a, const std::string& b) {
  const auto essence = [](const std::string& name) {
    std::string result;
    for (const char c : name.substr(name.rfind('/') + 1)) {  // npos + 1 is 0
      const auto byte = static_cast<unsigned char>(c);
      if (std::isalnum(byte)) result += static_cast<char>(std::tolower(byte));
    }
    return result;
  };
  const std::string left = essence(a), right = essence(b);
  return left.starts_with(right) || right.starts_with(left);
}

}  // namespace orthrus
