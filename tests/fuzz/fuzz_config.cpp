// The JSON files beside the weights: config.json and, after a line of "---",
// generation_config.json; the first text is also taken for an index of shards.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "checkpoint/huggingface/config_json.h"
#include "checkpoint/huggingface/shard_index.h"
#include "orthrus/error.h"

namespace {

void check_config(std::string_view text, const std::optional<orthrus::NamedText>& generation) {
  try {
    const orthrus::ModelConfig config = orthrus::parse_config({"config", text}, generation);
    if (config.num_attention_heads % config.num_key_value_heads != 0) std::abort();
    if (config.mask_token_id >= config.vocab_size) std::abort();
    for (const int32_t id : config.eos_token_ids) {
      if (id < 0 || id >= config.vocab_size) std::abort();
    }
    if (!(config.rms_norm_eps > 0) || !(config.rope_theta > 0)) std::abort();
  } catch (const orthrus::Error&) {
  }
}

void check_index(std::string_view text) {
  try {
    for (const auto& [tensor, file] : orthrus::parse_shard_index(text, "index")) {
      if (file.find('/') != file.npos || file.find('\0') != file.npos) std::abort();
    }
  } catch (const orthrus::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  constexpr std::string_view kSeparator = "\n---\n";
  std::string_view text(reinterpret_cast<const char*>(input), size);
  std::optional<orthrus::NamedText> generation;
  if (const size_t end = text.find(kSeparator); end != text.npos) {
    generation = {"generation", text.substr(end + kSeparator.size())};
    text = text.substr(0, end);
  }
  check_config(text, generation);
  check_index(text);
  return 0;
}
