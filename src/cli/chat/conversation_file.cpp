#include "cli/chat/conversation_file.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/input.h"
#include "cli/text.h"
#include "cli/whole_file.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& name, const std::string& problem) {
  throw Error(ErrorKind::kFile, fmt::format("{}: {}", without_controls(name), problem));
}

std::string shown(const json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  return in_quotes(value.dump(-1, ' ', true, json::error_handler_t::replace));
}

// Deep nesting would take many times the memory of its text; no conversation has it.
void refuse_deep_nesting(std::string_view text, const std::string& name) {
  constexpr int kMost = 16;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') ++i;
    if (in_string) continue;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMost) fail(name, fmt::format("is nested more than {} deep.", kMost));
  }
}

json parse(std::string_view text, const std::string& name) {
  refuse_deep_nesting(text, name);
  try {
    return json::parse(text);
  } catch (const json::parse_error& error) {
    fail(name, fmt::format("is not JSON: byte {} is wrong, or the text ends there.", error.byte));
  } catch (const json::out_of_range&) {
    fail(name, "has a number that is too large for a double.");
  }
}

// A text, or [{"type": "text", "text": "..."}, ...].
std::string parse_content(const json& content, const std::string& name, const std::string& where) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    fail(name, fmt::format("{}: its content is {}; valid is a text.", where, shown(content)));
  }
  std::string text;
  for (const json& part : content) {
    const bool is_text = part.is_object() && part.value("type", json()) == "text" &&
                         part.contains("text") && part["text"].is_string();
    if (!is_text) {
      fail(name, fmt::format("{}: a part of its content is {}; valid is {{\"type\": \"text\", "
                             "\"text\": \"...\"}}.",
                             where, shown(part)));
    }
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

ChatMessage parse_message(const json& value, const std::string& name, size_t index) {
  const std::string where = fmt::format("messages[{}]", index);
  if (!value.is_object() || !value.contains("role") || !value.contains("content")) {
    fail(name, fmt::format("{} is {}; valid is {{\"role\": \"user\", \"content\": \"...\"}}.",
                           where, shown(value)));
  }
  for (const auto& [key, field] : value.items()) {
    if (key != "role" && key != "content" && !field.is_null()) {
      fail(name, fmt::format("{} has {}, which a chat has no use for; valid are role and content.",
                             where, in_quotes(key)));
    }
  }
  const json& role = value["role"];
  const bool known = role == "user" || role == "assistant" || (index == 0 && role == "system");
  if (!known) {
    fail(name, fmt::format("{}: its role is {}; valid is user, assistant or, of the first message, "
                           "system.",
                           where, shown(role)));
  }
  ChatMessage message;
  message.role = role.get<std::string>();
  message.content = parse_content(value["content"], name, where);
  return message;
}

}  // namespace

std::string conversation_to_json(std::span<const ChatMessage> messages) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  const nlohmann::ordered_json whole = {{"messages", std::move(list)}};
  return whole.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::vector<ChatMessage> parse_conversation(std::string_view text, const std::string& name) {
  const json value = parse(text, name);
  const json* const list =
      value.is_object() && value.contains("messages") ? &value["messages"] : &value;
  if (!list->is_array()) {
    fail(name,
         "has no conversation; valid is {\"messages\": [{\"role\": \"user\", \"content\": "
         "\"...\"}, ...]}.");
  }
  std::vector<ChatMessage> messages;
  for (const json& message : *list) {
    messages.push_back(parse_message(message, name, messages.size()));
  }
  if (messages.empty()) fail(name, "has no messages.");
  return messages;
}

void save_conversation(const std::filesystem::path& file, std::span<const ChatMessage> messages) {
  write_whole_file(file, conversation_to_json(messages));
}

std::vector<ChatMessage> load_conversation(const std::filesystem::path& file) {
  return parse_conversation(read_file(file), file.string());
}

}  // namespace orthrus::cli
