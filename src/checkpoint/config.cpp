#include "orthrus/config.h"

#include "checkpoint/config_json.h"
#include "files/display.h"
#include "files/files.h"

namespace orthrus {
namespace {

constexpr size_t kMaxBytes = 1 << 20;  // published ones have a few thousand

}  // namespace

ModelConfig load_config(const std::filesystem::path& directory) {
  const std::filesystem::path config_path = directory / "config.json";
  const std::filesystem::path generation_path = directory / "generation_config.json";
  const std::string config_text = read_text_file(config_path, kMaxBytes);
  const NamedText config{shown(config_path), config_text};
  if (!has_entry(generation_path)) return parse_config(config, std::nullopt);
  const std::string generation_text = read_text_file(generation_path, kMaxBytes);
  return parse_config(config, NamedText{shown(generation_path), generation_text});
}

}  // namespace orthrus
