// The chat templates, in C++. Like them, this does not look into the text between the marks that a
// model knows.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "files/display.h"
#include "orthrus/chat.h"
#include "orthrus/error.h"
#include "tokenizer/chat_formats.h"
#include "tokenizer/python_json.h"

namespace orthrus {
namespace {

constexpr std::string_view kToolsIntroduction =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsInstructions =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    "{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";

constexpr std::string_view kThinkOpen = "<think>";
constexpr std::string_view kThinkClose = "</think>";

std::string_view without_leading_newlines(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  return text;
}

std::string_view without_trailing_newlines(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
}

void open_message(std::string& prompt, std::string_view role) {
  prompt.append("<|im_start|>").append(role) += '\n';
}

void close_message(std::string& prompt) {
  prompt += "<|im_end|>\n";
}

[[noreturn]] void refuse_tools(const std::string& what, const ChatLayout& layout) {
  throw Error(ErrorKind::kUsage,
              fmt::format("{}, but the chat format {} has no tools.", what, layout.info.name));
}

void check_messages(std::span<const ChatMessage> messages, const ChatLayout& layout) {
  if (messages.empty()) {
    throw Error(ErrorKind::kUsage, "The chat has no messages; it must have at least one.");
  }
  constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    if (std::find(kRoles.begin(), kRoles.end(), message.role) == kRoles.end()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("messages[{}].role is {}; it must be \"system\", \"user\", "
                              "\"assistant\" or \"tool\".",
                              i, in_quotes(message.role)));
    }
    if (layout.has_tools) continue;
    if (message.role == "tool")
      refuse_tools(fmt::format("messages[{}].role is \"tool\"", i), layout);
    if (!message.tool_calls.empty())
      refuse_tools(fmt::format("messages[{}] calls tools", i), layout);
  }
}

void check_continued(const ChatMessage& last) {
  if (last.role != "assistant") {
    throw Error(ErrorKind::kUsage,
                fmt::format("The final message's role is {}; to be continued, it must be "
                            "\"assistant\".",
                            in_quotes(last.role)));
  }
  if (!last.tool_calls.empty()) {
    throw Error(ErrorKind::kUsage, "The final message calls tools; it cannot be continued.");
  }
}

// Where the assistant's latest answer begins: after the last thing that a user asked, which the
// result of a tool, in a user's message, is not. Only from there on is thinking shown.
size_t last_query(std::span<const ChatMessage> messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const std::string_view content = messages[i].content;
    const bool is_tool_response =
        content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
    if (messages[i].role == "user" && !is_tool_response) return i;
  }
  return messages.size() - 1;
}

void add_system(std::string& prompt, const ChatMessage& first, const ChatLayout& layout,
                const ChatOptions& options) {
  const bool is_given = first.role == "system";
  const bool has_text = is_given || !layout.default_system.empty();
  if (!has_text && options.tools.empty()) return;
  open_message(prompt, "system");
  prompt += is_given ? std::string_view(first.content) : layout.default_system;
  if (!options.tools.empty()) {
    if (has_text) prompt += "\n\n";
    prompt += kToolsIntroduction;
    for (size_t i = 0; i < options.tools.size(); ++i) {
      prompt += '\n';
      prompt += python_json_object(options.tools[i], fmt::format("tools[{}]", i));
    }
    prompt += kToolsInstructions;
  }
  close_message(prompt);
}

std::string shown_arguments(const std::string& arguments) {
  try {
    return python_json_object(arguments, "arguments");
  } catch (const Error&) {
    return arguments;  // whatever it is, it is what the model wrote
  }
}

// Adds the text of a message with its thinking taken out, shown or not. Says whether there is text
// besides the thinking.
bool add_with_thinking(std::string& prompt, const ChatMessage& message, bool is_in_answer,
                       bool is_last) {
  std::string_view content = message.content;
  std::string_view reasoning;
  if (message.reasoning_content) {
    reasoning = *message.reasoning_content;
  } else if (const size_t close = content.find(kThinkClose); close != content.npos) {
    reasoning = without_trailing_newlines(content.substr(0, close));
    if (const size_t open = reasoning.rfind(kThinkOpen); open != reasoning.npos) {
      reasoning.remove_prefix(open + kThinkOpen.size());
    }
    reasoning = without_leading_newlines(reasoning);
    content =
        without_leading_newlines(content.substr(content.rfind(kThinkClose) + kThinkClose.size()));
  }
  if (is_in_answer && (is_last || !reasoning.empty())) {
    prompt.append("<think>\n")
        .append(without_leading_newlines(without_trailing_newlines(reasoning)))
        .append("\n</think>\n\n")
        .append(without_leading_newlines(content));
  } else {
    prompt += content;
  }
  return !content.empty();
}

void add_calls(std::string& prompt, const std::vector<ToolCall>& calls, bool needs_newline) {
  for (const ToolCall& call : calls) {
    if (needs_newline) prompt += '\n';
    needs_newline = true;
    prompt.append("<tool_call>\n{\"name\": \"").append(call.name).append("\", \"arguments\": ");
    prompt.append(shown_arguments(call.arguments)).append("}\n</tool_call>");
  }
}

}  // namespace

std::string render_chat(ChatFormat format, std::span<const ChatMessage> messages,
                        const ChatOptions& options) {
  const ChatLayout& layout = layout_of(format);
  const Thinking thinking = layout.info.thinking;
  check_messages(messages, layout);
  if (!layout.has_tools && !options.tools.empty()) refuse_tools("There are tools", layout);
  if (options.continue_final_message) check_continued(messages.back());
  const size_t query = last_query(messages);
  std::string prompt;
  add_system(prompt, messages[0], layout, options);
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const bool is_last = i + 1 == messages.size();
    if (message.role == "assistant") {
      open_message(prompt, message.role);
      bool has_text = !message.content.empty();
      if (thinking == Thinking::kNever) {
        prompt += message.content;
      } else {
        has_text = add_with_thinking(prompt, message, i > query, is_last);
      }
      if (is_last && options.continue_final_message) return prompt;
      add_calls(prompt, message.tool_calls, has_text);
      close_message(prompt);
    } else if (message.role == "tool") {  // those in a row make one user message
      if (i == 0 || messages[i - 1].role != "tool") prompt += "<|im_start|>user";
      prompt.append("\n<tool_response>\n").append(message.content).append("\n</tool_response>");
      if (is_last || messages[i + 1].role != "tool") close_message(prompt);
    } else if (message.role == "user" || i > 0) {
      open_message(prompt, message.role);
      prompt += message.content;
      close_message(prompt);
    }
  }
  if (options.add_generation_prompt) {
    open_message(prompt, "assistant");
    if (thinking == Thinking::kAlways) prompt += "<think>\n";
    if (thinking == Thinking::kOptional && !options.enable_thinking) {
      prompt += "<think>\n\n</think>\n\n";
    }
  }
  return prompt;
}

}  // namespace orthrus
