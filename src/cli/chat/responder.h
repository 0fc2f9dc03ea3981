// What replies: a model, its chat format, and a session that keeps keys and values between turns.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cli/interrupt.h"
#include "cli/options.h"
#include "orthrus/chat.h"
#include "orthrus/engine.h"

namespace orthrus::cli {

struct Reply {
  std::vector<int32_t> prompt_ids;
  Generation generation;
  int max_tokens = 0;  // as was asked for

  // Why it is not whole: "cut off at 5 tokens (--max-tokens)"; "" when the model ended it.
  std::string cut_off() const;
  // The line below a reply: tokens, speed, context, and why it was cut off.
  std::string summary(const ModelConfig& config) const;
};

// How messages become a prompt.
struct ChatStyle {
  ChatFormat format = ChatFormat::kNone;
  bool thinking = true;
};

// What asks for a reply to these messages, of which the last is a user's, in the words of a model
// with a tokenizer. Throws Error(kUsage) when they leave no room for it in the context.
Request request_for(const ChatStyle& style, std::span<const ChatMessage> messages,
                    const GenerateOptions& options, const ModelConfig& config,
                    const Tokenizer& tokenizer);

class Responder {
 public:
  // Loads the model, which has a tokenizer. Throws as Engine::load.
  Responder(ModelFiles files, const ChatStyle& style);

  const Engine& engine() const { return engine_; }

  // The reply. Throws as request_for, Error(kUsage) for options that the model does not take, and
  // Error(kSystem) when the generation failed.
  Reply reply(std::span<const ChatMessage> messages, const GenerateOptions& options,
              const Interrupt& interrupt, std::function<bool(const Step&)> on_step = {});

 private:
  ChatStyle style_;
  Engine engine_;
  Session session_;
};

}  // namespace orthrus::cli
