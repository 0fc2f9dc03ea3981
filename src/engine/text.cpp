// What a model says about text.
#include "engine/text.h"

#include <fmt/core.h>

#include <utility>

#include "base/float_environment.h"
#include "files/display.h"
#include "orthrus/chat.h"
#include "orthrus/error.h"

namespace orthrus {

namespace {

// With the tokenizer_config.json beside it, if there is one.
Tokenizer load_file(const std::filesystem::path& file) {
  const std::filesystem::path config = file.parent_path() / "tokenizer_config.json";
  return has_entry(config) ? Tokenizer::load(file, config) : Tokenizer::load(file);
}

}  // namespace

std::optional<Tokenizer> tokenizer_of(const Checkpoint& checkpoint) {
  if (checkpoint.vocabulary()) return Tokenizer::from_vocabulary(*checkpoint.vocabulary());
  if (checkpoint.tokenizer_file()) return load_file(*checkpoint.tokenizer_file());
  return std::nullopt;
}

std::vector<int32_t> encode_with(const Tokenizer* tokenizer, std::string_view text) {
  if (tokenizer == nullptr) {
    throw Error(ErrorKind::kUsage, "This model has no tokenizer, so it takes token ids only.");
  }
  return tokenizer->encode_prompt(text);
}

Tokenizer load_tokenizer(const std::filesystem::path& model) {
  const FloatEnvironment ours;
  const std::filesystem::path path = resolve_model(model);
  if (!is_gguf(path)) return load_file(path / "tokenizer.json");
  std::optional<Tokenizer> tokenizer = tokenizer_of(Checkpoint::open(path));
  if (tokenizer) return std::move(*tokenizer);
  throw Error(ErrorKind::kFile,
              fmt::format("{}: has no tokenizer: tokenizer.ggml.model is missing.", shown(model)));
}

ChatFormat detect_chat_format(const std::filesystem::path& model) {
  const FloatEnvironment ours;
  return chat_format_of(chat_template_of(model));
}

}  // namespace orthrus
