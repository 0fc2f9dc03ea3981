// model.safetensors.index.json: which file of a sharded checkpoint holds which tensor.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace orthrus {

using ShardIndex = std::map<std::string, std::string>;  // tensor's name -> file's name

// `name` stands for the file in messages. Throws Error(kFile) for a malformed index, or for one
// that names files outside its own directory.
ShardIndex parse_shard_index(std::string_view text, const std::string& name);

}  // namespace orthrus
