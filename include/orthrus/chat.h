// Chat messages to prompt text: the chat templates of Qwen's models, rendered natively.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace orthrus {

struct ToolCall {
  std::string name;
  std::string arguments;  // JSON text: an object as the model is to see it, or any string
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant" or "tool"
  std::string content;
  std::optional<std::string> reasoning_content;  // assistant only: what stood between <think> tags
  std::vector<ToolCall> tool_calls;              // assistant only
};

struct ChatOptions {
  std::vector<std::string> tools;     // each a JSON object, as in OpenAI's "tools"
  bool add_generation_prompt = true;  // end with the opening of an assistant message
  bool enable_thinking = true;  // false: the assistant's thinking is opened and closed, empty;
                                // only where Thinking is kOptional does this say anything
  bool continue_final_message = false;  // end within the last message, the assistant's, instead
};

enum class ChatFormat {
  kNone,     // the checkpoint carries no chat template
  kUnknown,  // some other template than those below
  kChatMl,   // <|im_start|>, role, newline, content, <|im_end|>; no tools
  kQwen2,    // ChatML with a system message where the chat has none
  kQwen25,   // Qwen2.5, Qwen2.5-Coder
  kQwen3,
  kQwen3Instruct2507,
  kQwen3Thinking2507,
};

enum class Thinking {
  kNever,
  kOptional,  // as ChatOptions::enable_thinking says
  kAlways,    // the prompt opens the thinking
};

struct ChatFormatInfo {
  ChatFormat format;
  std::string_view name;  // "qwen2.5", as --chat-format takes it
  Thinking thinking;
};

// The formats that render_chat knows.
std::span<const ChatFormatInfo> chat_formats();

// "qwen2.5"; "none" and "unknown" are names, too.
std::string_view name_of(ChatFormat format);

// Which format this template, a Jinja program, renders. Recognized are those that Qwen published,
// whatever the ends of their lines; a blank text is kNone.
ChatFormat chat_format_of(std::string_view template_text);

// Of a directory, looks for chat_template.jinja, then for "chat_template" in tokenizer_config.json;
// of a GGUF file, for tokenizer.chat_template. Throws Error(kFile) when a file that is there cannot
// be read.
ChatFormat detect_chat_format(const std::filesystem::path& model);

// What the format's template gives for these messages. Text between the marks that a model knows
// is put in as it is. Throws Error(kUsage) for kNone and kUnknown, no messages, an unknown role,
// tools that are not JSON, tools, calls or results of tools in a format without them, and a final
// message to continue that is not the assistant's or calls tools.
std::string render_chat(ChatFormat format, std::span<const ChatMessage> messages,
                        const ChatOptions& options = {});

}  // namespace orthrus
