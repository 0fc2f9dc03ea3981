#include <fmt/format.h>

#include <utility>

#include "server/openai/chat_prompt.h"

namespace orthrus::server::openai {
namespace {

constexpr std::string_view kMessage = "a message, as {\"role\": \"user\", \"content\": \"Hello\"}";

// Parts are lines of one text, as in vLLM.
std::string text_of_parts(const Json& parts, const std::string& path) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Fields part(parts[i], fmt::format("{}[{}]", path, i));
    part.required("type", "\"text\"");
    const std::string type = *part.text("type");
    if (type != "text" && type != "input_text" && type != "output_text" && type != "refusal") {
      part.refuse("type", "\"text\": this model reads texts only");
    }
    const std::string_view member = type == "refusal" ? "refusal" : "text";
    if (i > 0) text += '\n';
    text += text_of(part.required(member, "a string"), part.path_of(member));
  }
  return text;
}

// An assistant's message may be calls alone.
std::string read_content(const Fields& message, bool required) {
  const Json* content = message.find("content");
  if (required) message.required("content", "a string or a list of text parts");
  if (content == nullptr) return {};
  if (content->is_array()) return text_of_parts(*content, message.path_of("content"));
  if (!content->is_string()) message.refuse("content", "a string or a list of text parts");
  return content->get<std::string>();
}

std::vector<ToolCall> read_calls(const Fields& message) {
  std::vector<ToolCall> calls;
  const Json* list = message.list("tool_calls");
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const Fields call((*list)[i], fmt::format("{}[{}]", message.path_of("tool_calls"), i));
    call.choice("type", {"function"});
    const Fields function(call.required("function", "an object"), call.path_of("function"));
    const Json& name = function.required("name", "a string");
    const Json* arguments = function.find("arguments");
    calls.push_back({.name = text_of(name, function.path_of("name")), .arguments = "{}"});
    if (arguments == nullptr) continue;
    // JSON text, as OpenAI has it; or, as some clients send it, the object itself.
    calls.back().arguments = arguments->is_object()
                                 ? to_text(*arguments)
                                 : text_of(*arguments, function.path_of("arguments"));
  }
  return calls;
}

ChatMessage read_message(const Fields& fields) {
  const Json& role = fields.required("role", "\"system\", \"user\", \"assistant\" or \"tool\"");
  ChatMessage message;
  message.role = text_of(role, fields.path_of("role"));
  if (message.role == "developer") message.role = "system";
  if (message.role == "function") {
    fields.refuse("role", "\"tool\", which has taken the place of \"function\"");
  }
  message.content = read_content(fields, message.role != "assistant");
  if (message.role != "assistant") return message;
  message.reasoning_content = fields.text("reasoning_content");
  if (!message.reasoning_content) message.reasoning_content = fields.text("reasoning");
  message.tool_calls = read_calls(fields);
  return message;
}

}  // namespace

std::vector<ChatMessage> read_messages(const Fields& body) {
  body.required("messages", "a list of messages");
  const Json& list = *body.list("messages");
  if (list.empty()) body.refuse("messages", "a list of at least one message");
  std::vector<ChatMessage> messages;
  messages.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    if (!list[i].is_object()) refuse(path, list[i], kMessage);
    messages.push_back(read_message(Fields(list[i], path)));
  }
  return messages;
}

}  // namespace orthrus::server::openai
