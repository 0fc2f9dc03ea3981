#include "server/anthropic/messages.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

namespace orthrus::server::anthropic {
namespace {

void append_line(std::string& text, std::string_view more) {
  if (!text.empty() && !more.empty()) text += '\n';
  text += more;
}

// Calls `use` with the type of each block, which is one of the object's fields, and the block.
void for_each_block(const Json& content, const std::string& field,
                    const std::function<void(const std::string& type, const Fields& block)>& use) {
  if (!content.is_array()) refuse(field, content, "a string or a list of content blocks");
  for (size_t i = 0; i < content.size(); ++i) {
    const Fields block(content[i], fmt::format("{}[{}]", field, i));
    use(text_of(block.required("type", "a string"), block.path_of("type")), block);
  }
}

std::string text_of_member(const Fields& block, std::string_view name) {
  return text_of(block.required(name, "a string"), block.path_of(name));
}

// Content that has texts only.
std::string read_texts(const Json& content, const std::string& field,
                       const std::function<std::string(std::string)>& change) {
  if (content.is_string()) return change(content.get<std::string>());
  std::string text;
  for_each_block(content, field, [&](const std::string& type, const Fields& block) {
    if (type != "text") block.refuse("type", "\"text\": this server reads texts only");
    append_line(text, change(text_of_member(block, "text")));
  });
  return text;
}

std::string without_billing_header(std::string text) {
  if (!text.starts_with("x-anthropic-billing-header:")) return text;
  const size_t rest = text.find_first_not_of('\n', text.find('\n'));
  return rest == text.npos ? "" : text.substr(rest);
}

std::string as_it_is(std::string text) {
  return text;
}

ChatMessage read_tool_result(const Fields& block) {
  text_of_member(block, "tool_use_id");  // the order of results says which call each belongs to
  std::string text;
  if (const Json* content = block.find("content")) {
    text = read_texts(*content, block.path_of("content"), as_it_is);
  }
  if (block.boolean("is_error").value_or(false)) text.insert(0, "Error: ");
  return {"tool", std::move(text), {}, {}};
}

void read_user(const Json& content, const std::string& field, std::vector<ChatMessage>& messages) {
  const size_t before = messages.size();
  std::string text;
  const auto add_text = [&] {
    if (text.empty()) return;
    messages.push_back({"user", std::exchange(text, {}), {}, {}});
  };
  for_each_block(content, field, [&](const std::string& type, const Fields& block) {
    if (type == "text") {
      append_line(text, text_of_member(block, "text"));
    } else if (type == "tool_result") {
      add_text();
      messages.push_back(read_tool_result(block));
    } else {
      block.refuse("type", "\"text\" or \"tool_result\": this server reads texts only");
    }
  });
  add_text();
  if (messages.size() == before) messages.push_back({"user", "", {}, {}});
}

ChatMessage read_assistant(const Json& content, const std::string& field) {
  ChatMessage message{"assistant", "", {}, {}};
  for_each_block(content, field, [&](const std::string& type, const Fields& block) {
    if (type == "text") {
      message.content += text_of_member(block, "text");
    } else if (type == "thinking") {
      if (!message.reasoning_content) message.reasoning_content.emplace();
      append_line(*message.reasoning_content, text_of_member(block, "thinking"));
    } else if (type == "tool_use") {
      text_of_member(block, "id");
      const Json& input = block.required("input", "an object");
      if (!input.is_object()) block.refuse("input", "an object");
      message.tool_calls.push_back({text_of_member(block, "name"), to_text(input)});
    } else if (type != "redacted_thinking") {
      block.refuse("type", "\"text\", \"tool_use\", \"thinking\" or \"redacted_thinking\"");
    }
  });
  return message;
}

}  // namespace

std::vector<ChatMessage> read_messages(const Fields& body) {
  std::vector<ChatMessage> messages;
  if (const Json* system = body.find("system")) {
    std::string text = read_texts(*system, "system", without_billing_header);
    if (!text.empty()) messages.push_back({"system", std::move(text), {}, {}});
  }
  const Json& list = body.required("messages", "a list of messages");
  if (!list.is_array() || list.empty()) body.refuse("messages", "a list of at least one message");
  for (size_t i = 0; i < list.size(); ++i) {
    const Fields fields(list[i], fmt::format("messages[{}]", i));
    fields.required("role", "\"user\", \"assistant\" or \"system\"");
    const std::string role = *fields.choice("role", {"user", "assistant", "system"});
    const Json& content = fields.required("content", "a string or a list of content blocks");
    const std::string field = fields.path_of("content");
    if (content.is_string()) {
      messages.push_back({role, content.get<std::string>(), {}, {}});
    } else if (role == "user") {
      read_user(content, field, messages);
    } else if (role == "assistant") {
      messages.push_back(read_assistant(content, field));
    } else {
      messages.push_back({role, read_texts(content, field, as_it_is), {}, {}});
    }
  }
  return messages;
}

}  // namespace orthrus::server::anthropic
