#include "server/anthropic/messages_request.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "server/anthropic/messages.h"
#include "server/anthropic/tools.h"
#include "server/api/chat.h"
#include "server/api/sampling_fields.h"
#include "server/output/from_prompt.h"

namespace orthrus::server::anthropic {
namespace {

constexpr int kMostInt = std::numeric_limits<int>::max();

// Without the field there is no thinking, as in Anthropic's API. The budget is checked, but not
// kept: a model cannot be told when to stop thinking.
bool read_thinking(const Fields& body) {
  const auto thinking = body.object("thinking");
  if (!thinking) return false;
  thinking->required("type", "\"enabled\", \"disabled\" or \"adaptive\"");
  const std::string type = *thinking->choice("type", {"enabled", "disabled", "adaptive"});
  if (type == "enabled") thinking->required("budget_tokens", "1024 or more");
  thinking->integer("budget_tokens", 1024, kMostInt);
  return type != "disabled";
}

// A text that only looks as if it had been constrained would be worse than none.
void refuse_constraints(const Fields& body) {
  const auto config = body.object("output_config");
  if (config && config->has("format")) {
    config->refuse("format", "left out: this server cannot guarantee formats");
  }
  if (body.has("output_format")) {
    body.refuse("output_format", "left out: this server cannot guarantee formats");
  }
}

}  // namespace

MessagesPrompt read_prompt(const Fields& body, ChatFormat format, std::string call_id) {
  const std::vector<ChatMessage> messages = read_messages(body);
  Tools tools = read_tools(body);
  const ToolChoice choice = read_tool_choice(body, tools);
  if (choice.none) tools = {};
  ChatOptions options;
  options.tools = std::move(tools.texts);
  options.enable_thinking = read_thinking(body);
  options.continue_final_message = messages.back().role == "assistant";
  if (options.continue_final_message && choice.required) {
    body.refuse("tool_choice",
                "left out, or of type \"auto\" or \"none\", where the final message "
                "is the assistant's");
  }

  MessagesPrompt prompt;
  prompt.text = chat_prompt(format, messages, options);
  prompt.output = output_options(format, prompt.text, std::move(tools.names), std::move(call_id));
  prompt.output.parallel_calls = choice.parallel;
  if (choice.required) {
    prompt.begun = forced_call(format, prompt.text, choice.name);
    prompt.text += prompt.begun;
  }
  return prompt;
}

MessagesRequest read_request(const Fields& body, const ServerInfo& info, const ModelConfig& config,
                             std::string call_id) {
  MessagesRequest request;
  request.model = body.text("model").value_or(info.model);
  request.stream = body.boolean("stream").value_or(false);
  GenerateOptions& options = request.options;
  options = info.defaults;
  body.required("max_tokens", "1 or more");
  options.max_tokens = static_cast<int>(*body.integer("max_tokens", 1, kMostInt));
  body.number("temperature", 0, 1);
  options.sampling = read_sampling(body, info, config);
  refuse_constraints(body);
  read_scheduling(body, options);
  read_own(body, config, options);
  body.list("stop_sequences");  // not one string
  request.stop_sequences = read_stops(body, "stop_sequences");
  options.stop.insert(options.stop.end(), request.stop_sequences.begin(),
                      request.stop_sequences.end());
  request.prompt = read_prompt(body, info.chat_format, std::move(call_id));
  if (request.prompt.output.tools && !request.prompt.output.parallel_calls) {
    options.stop.emplace_back("</tool_call>");
  }
  return request;
}

}  // namespace orthrus::server::anthropic
