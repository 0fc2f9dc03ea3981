#include "cli/chat/responder.h"

#include <fmt/core.h>

#include <utility>

#include "base/counted.h"
#include "cli/running.h"
#include "orthrus/error.h"

namespace orthrus::cli {

std::string Reply::cut_off() const {
  switch (generation.finish_reason) {
    case FinishReason::kStop:
    case FinishReason::kFailed:
      return "";
    case FinishReason::kCancelled:
      return "interrupted";
    case FinishReason::kLength:
      break;
  }
  if (generation.stats.generated < max_tokens) return "cut off: the context is full";
  return fmt::format("cut off at {} (--max-tokens)", counted(max_tokens, "token"));
}

std::string Reply::summary(const ModelConfig& config) const {
  const GenerationStats& stats = generation.stats;
  std::string cut = cut_off();
  if (!cut.empty()) cut += ";\n ";
  // Lines of a terminal's 80 columns.
  return fmt::format(
      "[{}{}, {:.2f} tokens per forward, {:.1f} tokens/s; context {} of {},\n {} of the "
      "prompt's {} were cached]\n",
      cut, counted(stats.generated, "token"), stats.tokens_per_forward(), stats.tokens_per_second(),
      prompt_ids.size() + static_cast<size_t>(stats.generated), config.max_position_embeddings,
      stats.cached_tokens, counted(prompt_ids.size(), "token"));
}

Request request_for(const ChatStyle& style, std::span<const ChatMessage> messages,
                    const GenerateOptions& options, const ModelConfig& config,
                    const Tokenizer& tokenizer) {
  ChatOptions chat;
  chat.enable_thinking = style.thinking;
  Request request;
  request.prompt = tokenizer.encode_prompt(render_chat(style.format, messages, chat));
  const int context = config.max_position_embeddings;
  if (request.prompt.size() >= static_cast<size_t>(context)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("With this message the conversation has {} tokens; the model's context "
                            "of {} has no room for a reply.",
                            request.prompt.size(), context));
  }
  request.options = options;
  // The turn ends there also where it is not one of the checkpoint's end-of-sequence tokens.
  if (const auto end_of_turn = tokenizer.find_added("<|im_end|>")) {
    request.options.stop_token_ids.push_back(*end_of_turn);
  }
  return request;
}

Responder::Responder(ModelFiles files, const ChatStyle& style)
    : style_(style), engine_(load_engine(std::move(files))), session_(engine_.start_session()) {}

Reply Responder::reply(std::span<const ChatMessage> messages, const GenerateOptions& options,
                       const Interrupt& interrupt, std::function<bool(const Step&)> on_step) {
  Request request = request_for(style_, messages, options, engine_.config(), *engine_.tokenizer());
  watch(request, interrupt, std::move(on_step));
  Reply reply;
  reply.generation = session_.generate(request);
  check_not_failed(reply.generation);
  reply.prompt_ids = std::move(request.prompt);
  reply.max_tokens = options.max_tokens;
  return reply;
}

}  // namespace orthrus::cli
