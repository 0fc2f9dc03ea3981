#include "server/openai/chat_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/api/chat.h"
#include "server/output/from_prompt.h"

namespace orthrus::server::openai {
namespace {

struct Tools {
  std::vector<std::string> texts;  // as the model is to see them
  std::vector<std::string> names;
};

Tools read_tools(const Fields& body) {
  Tools tools;
  const Json* list = body.list("tools");
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const Fields tool((*list)[i], fmt::format("tools[{}]", i));
    tool.required("type", "\"function\"");
    tool.choice("type", {"function"});
    const Fields function(tool.required("function", "an object"), tool.path_of("function"));
    std::string name = text_of(function.required("name", "a string"), function.path_of("name"));
    if (name.empty()) function.refuse("name", "a name");
    tools.names.push_back(std::move(name));
    tools.texts.push_back(to_text((*list)[i]));
  }
  return tools;
}

// What the model must do with its tools.
struct ToolChoice {
  bool none = false;
  bool required = false;
  std::string name;  // of the one that must be called; empty: any
};

ToolChoice read_tool_choice(const Fields& body, const Tools& tools) {
  const Json* value = body.find("tool_choice");
  if (value == nullptr) return {};
  ToolChoice choice;
  if (value->is_object()) {
    const Fields fields(*value, "tool_choice");
    fields.required("type", "\"function\"");
    fields.choice("type", {"function"});
    const Fields function(fields.required("function", "an object"), "tool_choice.function");
    choice.required = true;
    choice.name = text_of(function.required("name", "a tool's name"), "tool_choice.function.name");
    if (std::find(tools.names.begin(), tools.names.end(), choice.name) == tools.names.end()) {
      function.refuse("name", "the name of one of the tools");
    }
    return choice;
  }
  const std::string text = *body.choice("tool_choice", {"none", "auto", "required"});
  choice.none = text == "none";
  choice.required = text == "required";
  if (choice.required && tools.names.empty()) {
    body.refuse("tool_choice", "\"none\" or \"auto\" where there are no tools");
  }
  return choice;
}

bool read_thinking(const Fields& body) {
  const auto arguments = body.object("chat_template_kwargs");
  if (arguments) {
    if (const auto enabled = arguments->boolean("enable_thinking")) return *enabled;
  }
  return body.text("reasoning_effort") != "none";
}

void refuse_what_is_no_text(const Fields& body) {
  if (const Json* modalities = body.list("modalities")) {
    for (const Json& modality : *modalities) {
      if (modality != "text")
        body.refuse("modalities", "[\"text\"]: this server writes texts only");
    }
  }
  for (const std::string_view name : {"audio", "web_search_options"}) {
    if (body.has(name)) body.refuse(name, "left out: this server writes texts only");
  }
  for (const std::string_view name : {"functions", "function_call"}) {
    if (body.has(name)) {
      body.refuse(name, "left out: tools and tool_choice have taken its place");
    }
  }
}

}  // namespace

ChatPrompt read_chat_prompt(const Fields& body, ChatFormat format) {
  refuse_what_is_no_text(body);
  const std::vector<ChatMessage> messages = read_messages(body);
  Tools tools = read_tools(body);
  const ToolChoice choice = read_tool_choice(body, tools);
  if (choice.none) tools = {};  // what the model does not see it does not call

  ChatOptions options;
  options.tools = std::move(tools.texts);
  options.enable_thinking = read_thinking(body);
  options.continue_final_message = body.boolean("continue_final_message").value_or(false);
  options.add_generation_prompt =
      body.boolean("add_generation_prompt").value_or(!options.continue_final_message);
  if (options.continue_final_message && options.add_generation_prompt) {
    body.refuse("add_generation_prompt", "false where continue_final_message is true");
  }

  ChatPrompt prompt;
  prompt.text = chat_prompt(format, messages, options);
  prompt.tools = std::move(tools.names);
  if (choice.required && options.add_generation_prompt) {
    prompt.begun = forced_call(format, prompt.text, choice.name);
    prompt.text += prompt.begun;
  }
  return prompt;
}

}  // namespace orthrus::server::openai
