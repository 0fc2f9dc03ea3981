// Bodies of OpenAI's requests. The first byte says which path they go to.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "server/openai/chat_prompt.h"
#include "server/openai/generation_fields.h"
#include "server/openai/text_prompts.h"

namespace {

using namespace orthrus;
using namespace orthrus::server;

constexpr ChatFormat kFormats[] = {ChatFormat::kNone, ChatFormat::kChatMl, ChatFormat::kQwen25,
                                   ChatFormat::kQwen3, ChatFormat::kQwen3Thinking2507};

ModelConfig config() {
  ModelConfig config;
  config.vocab_size = 1000;
  config.max_position_embeddings = 2048;
  config.block_size = 16;
  return config;
}

void check_generation(const openai::GenerationFields& fields, const ModelConfig& config) {
  const SamplingParams& sampling = fields.options.sampling;
  if (!(sampling.temperature >= 0 && sampling.temperature <= 100)) std::abort();
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) std::abort();
  if (sampling.top_k < 0 || fields.n < 1 || fields.n > 128) std::abort();
  for (const TokenBias& bias : sampling.logit_bias) {
    if (bias.token < 0 || bias.token >= config.vocab_size) std::abort();
  }
  Request request{.prompt = {1}, .options = fields.options, .on_step{}, .on_prefill{}};
  request.options.stop.clear();  // they need a tokenizer
  request.options.mode.reset();  // a mode or size that the defaults exclude is an error
  request.options.block_size = 0;
  validate(request, config, nullptr);  // nothing that is left is refused by the engine
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(input) + 1, size - 1);
  static const ModelConfig model = config();
  const ServerInfo info{.model = "m",
                        .version = "",
                        .started = 0,
                        .chat_format = kFormats[input[0] / 2 % std::size(kFormats)],
                        .defaults = {},
                        .context_length = 2048};
  try {
    const Json json = parse_body(text);
    const Fields body(json);
    openai::check_model(body, info);
    check_generation(openai::read_generation(body, info, model, 16), model);
    if (input[0] % 2 == 0) {
      const openai::ChatPrompt prompt = openai::read_chat_prompt(body, info.chat_format);
      if (!prompt.text.ends_with(prompt.begun)) std::abort();
    } else {
      for (const openai::TextPrompt& prompt : openai::read_text_prompts(body, model, nullptr)) {
        if (prompt.ids.empty()) std::abort();
      }
    }
  } catch (const ApiError& error) {
    parse_body(openai_json(error));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) std::abort();
  }
  return 0;
}
