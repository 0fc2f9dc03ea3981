// What each path does. They throw ApiError, and Error(kUsage), which becomes a 400.
#pragma once

#include <memory>

#include "server/dispatch.h"
#include "server/http/exchange.h"

namespace orthrus::server::openai {

using ExchangePointer = std::shared_ptr<Exchange>;

void complete_chat(const ExchangePointer& exchange, Dispatcher& dispatcher);
void complete_text(const ExchangePointer& exchange, Dispatcher& dispatcher);
void tokenize(const ExchangePointer& exchange, const Dispatcher& dispatcher);
void detokenize(const ExchangePointer& exchange, const Dispatcher& dispatcher);
void describe_tokenizer(const ExchangePointer& exchange, const Dispatcher& dispatcher);
void list_models(const ExchangePointer& exchange, const Dispatcher& dispatcher);
void show_model(const ExchangePointer& exchange, const Dispatcher& dispatcher);

// Throws ApiError when a prompt of so many tokens leaves no room for an answer. `field` is where it
// came from.
void check_fits(size_t tokens, const ServerInfo& info, const std::string& field);

// Throws ApiError where the model has none.
const Tokenizer& tokenizer_of(const Dispatcher& dispatcher);

}  // namespace orthrus::server::openai
