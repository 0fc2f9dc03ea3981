#include "server/openai/text_prompts.h"

#include <fmt/format.h>

#include <utility>

namespace orthrus::server::openai {
namespace {

constexpr size_t kMostPrompts = 1024;
constexpr std::string_view kValid = "a text, a list of token ids, or a list of texts or such lists";

TextPrompt read_prompt(const Json& value, std::string field, const ModelConfig& config,
                       const Tokenizer* tokenizer) {
  TextPrompt prompt;
  prompt.field = std::move(field);
  if (value.is_string()) {
    prompt.text = value.get<std::string>();
    if (tokenizer == nullptr) refuse(prompt.field, value, "token ids: this model has no tokenizer");
    prompt.ids = tokenizer->encode_prompt(*prompt.text);
  } else if (value.is_array()) {
    prompt.ids = read_token_ids(value, prompt.field, config);
  } else {
    refuse(prompt.field, value, kValid);
  }
  if (prompt.ids.empty()) refuse(prompt.field, value, "of at least one token");
  return prompt;
}

}  // namespace

std::vector<int32_t> read_token_ids(const Json& list, const std::string& field,
                                    const ModelConfig& config) {
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].is_number_unsigned() && list[i] < static_cast<uint64_t>(config.vocab_size)) {
      ids.push_back(list[i].get<int32_t>());
      continue;
    }
    const std::string name = fmt::format("{}[{}]", field, i);
    ids.push_back(static_cast<int32_t>(integer_of(list[i], name, 0, config.vocab_size - 1)));
  }
  return ids;
}

std::vector<TextPrompt> read_text_prompts(const Fields& body, const ModelConfig& config,
                                          const Tokenizer* tokenizer) {
  const Json& value = body.required("prompt", kValid);
  const bool is_batch =
      value.is_array() && !value.empty() && (value[0].is_string() || value[0].is_array());
  std::vector<TextPrompt> prompts;
  if (!is_batch) {
    prompts.push_back(read_prompt(value, "prompt", config, tokenizer));
    return prompts;
  }
  if (value.size() > kMostPrompts) body.refuse("prompt", fmt::format("at most {}", kMostPrompts));
  for (size_t i = 0; i < value.size(); ++i) {
    prompts.push_back(read_prompt(value[i], fmt::format("prompt[{}]", i), config, tokenizer));
  }
  return prompts;
}

}  // namespace orthrus::server::openai
