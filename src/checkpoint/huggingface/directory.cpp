#include "checkpoint/huggingface/directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "checkpoint/huggingface/config_json.h"
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

using Placement = std::pair<std::string, std::string>;  // a tensor's name, its file's name

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorKind::kFile, message);
}

// What weights a directory has that are not in the layout read here.
std::vector<std::string> other_weights(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const fs::path name = it->path().filename();
    const fs::path extension = name.extension();
    if (extension == ".safetensors" || extension == ".bin") names.push_back(name.string());
  }
  std::ranges::sort(names);
  return names;
}

[[noreturn]] void fail_without_weights(const fs::path& directory) {
  const std::vector<std::string> others = other_weights(directory);
  const std::string found =
      others.empty() ? "There is no other *.safetensors or *.bin file either."
                     : fmt::format("Found {}: convert to safetensors, or add the missing index.",
                                   list_in_quotes(others));
  fail(fmt::format("{}: has neither {} nor {}. {}", shown(directory), kSingleFile, kIndexFile,
                   found));
}

void check_files_exist(const fs::path& directory, const std::set<std::string>& files) {
  std::vector<std::string> missing;
  for (const std::string& file : files) {
    if (!has_entry(directory / file)) missing.push_back(file);
  }
  if (missing.empty()) return;
  fail(fmt::format("{}: names {} files, of which {} are not there: {}.",
                   shown(directory / kIndexFile), files.size(), missing.size(),
                   list_in_quotes(missing)));
}

std::vector<std::string> in_words(std::span<const Placement> placements) {
  std::vector<std::string> words;
  for (const auto& [tensor, file] : placements) {
    words.push_back(fmt::format("{} in {}", tensor, file));
  }
  return words;
}

// Every tensor must be in one shard, and in the one that the index says.
void check_matches_index(const ShardIndex& index, std::vector<Placement> found,
                         const std::string& index_name) {
  std::ranges::sort(found);
  std::vector<std::string> repeated;
  for (size_t i = 1; i < found.size(); ++i) {
    if (found[i].first == found[i - 1].first) repeated.push_back(found[i].first);
  }
  if (!repeated.empty()) {
    fail(fmt::format("{}: its files hold these tensors more than once: {}.", index_name,
                     list_in_quotes(repeated)));
  }
  const std::vector<Placement> expected(index.begin(), index.end());
  std::vector<Placement> missing;
  std::vector<Placement> unnamed;
  std::ranges::set_difference(expected, found, std::back_inserter(missing));
  std::ranges::set_difference(found, expected, std::back_inserter(unnamed));
  std::string problems;
  if (!missing.empty()) {
    problems = fmt::format("{}: names tensors that are not there: {}.", index_name,
                           list_in_quotes(in_words(missing)));
  }
  if (!unnamed.empty()) {
    problems += fmt::format("{}{}: does not name these tensors: {}.", problems.empty() ? "" : "\n",
                            index_name, list_in_quotes(in_words(unnamed)));
  }
  if (!problems.empty()) fail(problems);
}

// Maps one more file; its tensors are appended to those there are.
void map_one_more(MappedTensors& weights, const fs::path& path) {
  weights.maps.push_back(MappedFile::open(path));
  std::vector<Tensor> added = parse_safetensors(weights.maps.back().bytes(), shown(path)).tensors;
  std::ranges::move(added, std::back_inserter(weights.tensors));
}

void map_shards(MappedTensors& weights, const fs::path& directory) {
  const fs::path index_path = directory / kIndexFile;
  const std::string index_name = shown(index_path);
  const ShardIndex index =
      parse_shard_index(read_text_file(index_path, kMaxIndexBytes), index_name);
  std::set<std::string> shards;
  for (const auto& [tensor, file] : index) shards.insert(file);
  check_files_exist(directory, shards);

  std::vector<Placement> found;
  for (const std::string& shard : shards) {
    const size_t before = weights.tensors.size();
    map_one_more(weights, directory / shard);
    for (size_t i = before; i < weights.tensors.size(); ++i) {
      found.emplace_back(weights.tensors[i].name, shard);
    }
  }
  check_matches_index(index, std::move(found), index_name);
  std::ranges::sort(weights.tensors, {}, &Tensor::name);
}

}  // namespace

ModelConfig read_huggingface_config(const fs::path& directory) {
  const fs::path config_path = directory / "config.json";
  const fs::path generation_path = directory / "generation_config.json";
  const std::string config_text = read_text_file(config_path, kMaxConfigBytes);
  const NamedText config{shown(config_path), config_text};
  if (!has_entry(generation_path)) return parse_config(config, std::nullopt);
  const std::string generation_text = read_text_file(generation_path, kMaxConfigBytes);
  return parse_config(config, NamedText{shown(generation_path), generation_text});
}

MappedTensors map_huggingface_weights(const fs::path& directory) {
  MappedTensors weights;
  if (has_entry(directory / kSingleFile)) {
    map_one_more(weights, directory / kSingleFile);
  } else if (has_entry(directory / kIndexFile)) {
    map_shards(weights, directory);
  } else {
    fail_without_weights(directory);
  }
  return weights;
}

}  // namespace orthrus
