// The body of a request to /v1/messages.
#pragma once

#include <string>
#include <vector>

#include "orthrus/config.h"
#include "orthrus/request.h"
#include "server/api/fields.h"
#include "server/output/parser.h"
#include "server/server_info.h"

namespace orthrus::server::anthropic {

struct MessagesPrompt {
  std::string text;
  std::string begun;     // what `text` ends with of the answer: a call that the model must make
  OutputOptions output;  // how the answer is to be read; ids of calls begin with `call_id`
};

// From "system", "messages", "tools", "tool_choice" and "thinking": what count_tokens counts. A
// final message of the assistant is continued. Throws ApiError, and Error(kUsage) for what the
// model's chat format cannot render.
MessagesPrompt read_prompt(const Fields& body, ChatFormat format, std::string call_id);

struct MessagesRequest {
  std::string model;  // as the client named it: any name will do
  bool stream = false;
  MessagesPrompt prompt;
  GenerateOptions options;
  std::vector<std::string> stop_sequences;  // the client's; options.stop has others, too
};

// All of it. The checkpoint's defaults where the request says nothing. Throws as read_prompt.
MessagesRequest read_request(const Fields& body, const ServerInfo& info, const ModelConfig& config,
                             std::string call_id);

}  // namespace orthrus::server::anthropic
