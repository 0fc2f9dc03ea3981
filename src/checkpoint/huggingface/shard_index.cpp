#include "checkpoint/huggingface/shard_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "files/display.h"
#include "files/json_document.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

// Whether `file` can only be a file of the index's own directory.
bool is_plain_name(std::string_view file) {
  return file.ends_with(".safetensors") && std::ranges::none_of(file, [](unsigned char c) {
           return c == '/' || c == '\\' || c < 0x20 || c == 0x7f;
         });
}

}  // namespace

ShardIndex parse_shard_index(std::string_view text, const std::string& name) {
  const JsonPointer index = parse_json_object(text, name);
  const auto fail = [&name](std::string_view problem) {
    throw Error(ErrorKind::kFile, fmt::format("{}: {}.", name, problem));
  };
  const auto map = index->find("weight_map");
  if (map == index->end()) fail("has no weight_map");
  if (!map->is_object() || map->empty()) {
    fail(fmt::format("weight_map is {}; it must be an object of tensor names and file names",
                     shown(*map)));
  }
  ShardIndex result;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !is_plain_name(file.get_ref<const std::string&>())) {
      fail(
          fmt::format("weight_map has tensor {} in {}; it must be in a file named *.safetensors "
                      "of the same directory",
                      in_quotes(tensor), shown(file)));
    }
    result.emplace(tensor, file.get<std::string>());
  }
  return result;
}

}  // namespace orthrus
