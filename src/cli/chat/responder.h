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

class Responder {
 public:
  // Loads the model. Throws as Engine::load, and Error(kFile) when it comes without a tokenizer.
  Responder(const ModelOptions& model, ChatFormat format, bool thinking);

  const Engine& engine() const { return engine_; }

  // The reply to these messages, of which the last is a user's. Throws Error(kUsage) when they
  // leave no room for it in the context, and Error(kSystem) when the generation failed.
  Reply reply(std::span<const ChatMessage> messages, const GenerateOptions& options,
              const Interrupt& interrupt, std::function<bool(const Step&)> on_step = {});

 private:
  ChatFormat format_;
  bool thinking_;
  Engine engine_;
  Session session_;
};

}  // namespace orthrus::cli
