#include "checkpoint/huggingface/directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

#include "base/counted.h"
#include "checkpoint/huggingface/config_json.h"
#include "checkpoint/huggingface/near_misses.h"
#include "checkpoint/huggingface/quantized_tensors.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/huggingface/shard_index.h"
#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr size_t kMaxConfigBytes = 1 << 20;  // published ones have a few thousand
constexpr size_t kMaxIndexBytes = 8 << 20;   // published ones have about 100 bytes a tensor

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorKind::kFile, message);
}

void check_files_exist(const fs::path& directory, const std::set<std::string>& files) {
  std::vector<std::string> missing;
  for (const std::string& file : files) {
    if (!has_entry(directory / file)) missing.push_back(file);
  }
  if (missing.empty()) return;
  fail(fmt::format("{}: names {}; not there: {}.", shown(directory / kIndexFile),
                   counted(files.size(), "file"), list_in_quotes(missing)));
}

// The maps of some files, and what is in them.
struct Stored {
  std::vector<MappedFile> maps;
  std::vector<StoredTensor> tensors;
};

// Every tensor must be in the file that the index says. `found`: what was there of them, sorted.
void check_matches_index(const ShardIndex& index, std::span<const StoredTensor> found,
                         const std::string& index_name) {
  std::vector<std::string> missing;
  for (const auto& [tensor, file] : index) {
    if (!std::ranges::binary_search(found, tensor, {}, &StoredTensor::name)) {
      missing.push_back(fmt::format("{} in {}", tensor, file));
    }
  }
  if (missing.empty()) return;
  fail(fmt::format("{}: names tensors that are not there: {}.", index_name,
                   list_in_quotes(missing)));
}

// Maps one more file; those of its tensors that are wanted are appended to those there are.
void map_one_more(Stored& weights, const fs::path& path,
                  const std::function<bool(const std::string&)>& wanted = {}) {
  weights.maps.push_back(MappedFile::open(path));
  SafetensorsFile file = parse_safetensors(weights.maps.back().bytes(), shown(path), wanted);
  std::ranges::move(file.tensors, std::back_inserter(weights.tensors));
}

ShardIndex read_index(const fs::path& directory) {
  const fs::path path = directory / kIndexFile;
  return parse_shard_index(read_text_file(path, kMaxIndexBytes), shown(path));
}

void map_shards(Stored& weights, const fs::path& directory, const ShardIndex& index) {
  std::set<std::string> shards;
  for (const auto& [tensor, file] : index) shards.insert(file);
  check_files_exist(directory, shards);
  for (const std::string& shard : shards) {
    map_one_more(weights, directory / shard, [&](const std::string& tensor) {
      const auto entry = index.find(tensor);
      return entry != index.end() && entry->second == shard;
    });
  }
  std::ranges::sort(weights.tensors, {}, &StoredTensor::name);
  check_matches_index(index, weights.tensors, shown(directory / kIndexFile));
}

// Whether an index that lies beside model.safetensors names that as one of its files.
bool names_single_file(const ShardIndex& index) {
  return std::ranges::any_of(index, [](const auto& entry) { return entry.second == kSingleFile; });
}

}  // namespace

ModelConfig read_huggingface_config(const fs::path& directory) {
  const fs::path config_path = directory / "config.json";
  const fs::path generation_path = directory / "generation_config.json";
  if (!has_entry(config_path)) {
    fail(fmt::format("{}: has no config.json. {}", shown(directory), what_it_holds(directory)));
  }
  const std::string config_text = read_text_file(config_path, kMaxConfigBytes);
  const NamedText config{shown(config_path), config_text};
  if (!has_entry(generation_path)) return parse_config(config, std::nullopt);
  const std::string generation_text = read_text_file(generation_path, kMaxConfigBytes);
  return parse_config(config, NamedText{shown(generation_path), generation_text});
}

bool has_huggingface_weights(const fs::path& directory) {
  return has_entry(directory / kSingleFile) || has_entry(directory / kIndexFile);
}

std::optional<Quantization> read_huggingface_quantization(const fs::path& directory) {
  const fs::path path = directory / "config.json";
  const std::string text = read_text_file(path, kMaxConfigBytes);
  return parse_quantization({shown(path), text});
}

MappedTensors map_huggingface_weights(const fs::path& directory,
                                      const std::optional<Quantization>& quantization) {
  const bool has_single = has_entry(directory / kSingleFile);
  const bool has_index = has_entry(directory / kIndexFile);
  if (!has_single && !has_index) {
    fail(fmt::format("{}: has neither {} nor {}. {}", shown(directory), kSingleFile, kIndexFile,
                     what_it_holds(directory)));
  }
  const ShardIndex index = has_index ? read_index(directory) : ShardIndex();
  Stored weights;
  if (has_single && !names_single_file(index)) {
    map_one_more(weights, directory / kSingleFile);
  } else {
    map_shards(weights, directory, index);
  }
  std::vector<Tensor> tensors = quantization
                                    ? resolve_quantized(std::move(weights.tensors), *quantization)
                                    : as_tensors(std::move(weights.tensors));
  return {std::move(weights.maps), std::move(tensors)};
}

}  // namespace orthrus
