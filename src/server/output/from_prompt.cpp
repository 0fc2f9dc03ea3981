#include "server/output/from_prompt.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

namespace orthrus::server {
namespace {

constexpr std::string_view kThinkOpen = "<think>";
constexpr std::string_view kThinkClose = "</think>";

enum class Left : uint8_t { kNoThinking, kNotBegun, kOpen, kClosed };

Left thinking_left(ChatFormat format, std::string_view prompt) {
  const auto formats = chat_formats();
  const auto info =
      std::find_if(formats.begin(), formats.end(),
                   [format](const ChatFormatInfo& known) { return known.format == format; });
  if (info == formats.end() || info->thinking == Thinking::kNever) return Left::kNoThinking;
  constexpr std::string_view kTurn = "<|im_start|>assistant\n";
  const size_t turn = prompt.rfind(kTurn);
  if (turn == prompt.npos) return Left::kClosed;
  const std::string_view begun = prompt.substr(turn + kTurn.size());
  if (begun.empty()) return Left::kNotBegun;
  const size_t open = begun.rfind(kThinkOpen);
  const bool is_open = open != begun.npos && begun.find(kThinkClose, open) == begun.npos;
  return is_open ? Left::kOpen : Left::kClosed;
}

}  // namespace

OutputOptions output_options(ChatFormat format, std::string_view prompt,
                             std::vector<std::string> tool_names, std::string call_id) {
  const Left left = thinking_left(format, prompt);
  OutputOptions options;
  options.thinking_open = left == Left::kOpen;
  options.reasoning = left == Left::kOpen || left == Left::kNotBegun;
  options.tools = !tool_names.empty();
  options.call_id = std::move(call_id);
  if (format == ChatFormat::kQwen25) options.untagged = std::move(tool_names);
  return options;
}

// It ends where the model's tokens would: a space belongs to the token that follows it.
std::string forced_call(ChatFormat format, std::string_view prompt, std::string_view name) {
  std::string text;
  const Left left = thinking_left(format, prompt);
  if (left == Left::kNotBegun) text += "<think>\n";
  if (left == Left::kNotBegun || left == Left::kOpen) text += "\n</think>\n\n";
  text += "<tool_call>\n{\"name\": ";
  if (name.empty()) return text + '"';
  return text + nlohmann::json(name).dump() + ", \"arguments\":";
}

}  // namespace orthrus::server
