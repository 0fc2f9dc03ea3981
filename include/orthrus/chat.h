// Chat messages to prompt text: Qwen3's chat template, rendered natively.
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
  bool enable_thinking = true;        // false: the assistant's thinking is opened and closed, empty
};

enum class ChatFormat {
  kNone,     // the checkpoint carries no chat template
  kQwen3,    // Qwen3's template, which render_qwen3_chat reproduces
  kUnknown,  // some other template
};

// Of a directory, looks for chat_template.jinja, then for "chat_template" in tokenizer_config.json;
// of a GGUF file, for tokenizer.chat_template. Throws Error(kFile) when a file that is there cannot
// be read.
ChatFormat detect_chat_format(const std::filesystem::path& model);

// What Qwen3's template gives for these messages. Throws Error(kUsage) for no messages, an unknown
// role, or tools that are not JSON.
std::string render_qwen3_chat(std::span<const ChatMessage> messages,
                              const ChatOptions& options = {});

}  // namespace orthrus
