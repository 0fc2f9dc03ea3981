#include "tokenizer/chat_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "orthrus/error.h"

namespace orthrus {
namespace {

// FNV-1a of a template without the white space that ends its lines, and without the line ends that
// end it: neither shows in what it renders.
uint64_t hash_of_template(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](char c) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  size_t line_ends = 0;  // before the next line that is not blank
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const size_t length = line.find_last_not_of(" \t\r") + 1;
    if (length > 0) {
      for (; line_ends > 0; --line_ends) add('\n');
      for (const char c : line.substr(0, length)) add(c);
    }
    if (end < text.size()) ++line_ends;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return hash;
}

// With line ends as \n and as line ends; and with a first statement that gives
// add_generation_prompt a value.
constexpr uint64_t kChatMlTemplates[] = {0xa41d6bae9b9141bc, 0x88bf4138d5c826f0,
                                         0x17fde6ecda9c7c01};
constexpr uint64_t kQwen2Templates[] = {0x75e88977b2787cd7};
// And a revision (in the 1.5B Coder's GGUF file) whose instruction for tools doubles the braces of
// its example, which reads as a mistake: it is rendered without.
constexpr uint64_t kQwen25Templates[] = {0xe642ce246d7f2e3d, 0xadaa2a0bbac0305f};
// As first published, and a later revision, which differs in messages whose content is not a
// string: there are none here.
constexpr uint64_t kQwen3Templates[] = {0x2bfdb7aa9754484e, 0x959a4551391a6549};
constexpr uint64_t kQwen3Instruct2507Templates[] = {0x3751fe8ea48448ab};
constexpr uint64_t kQwen3Thinking2507Templates[] = {0xcd0d41a64dfce181};

constexpr ChatLayout kLayouts[] = {
    {{ChatFormat::kChatMl, "chatml", Thinking::kNever}, "", false, kChatMlTemplates},
    {{ChatFormat::kQwen2, "qwen2", Thinking::kNever},
     "You are a helpful assistant.",
     false,
     kQwen2Templates},
    {{ChatFormat::kQwen25, "qwen2.5", Thinking::kNever},
     "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
     true,
     kQwen25Templates},
    {{ChatFormat::kQwen3, "qwen3", Thinking::kOptional}, "", true, kQwen3Templates},
    {{ChatFormat::kQwen3Instruct2507, "qwen3-instruct-2507", Thinking::kNever},
     "",
     true,
     kQwen3Instruct2507Templates},
    {{ChatFormat::kQwen3Thinking2507, "qwen3-thinking-2507", Thinking::kAlways},
     "",
     true,
     kQwen3Thinking2507Templates},
};

constexpr auto kInfos = [] {
  std::array<ChatFormatInfo, std::size(kLayouts)> infos{};
  for (size_t i = 0; i < infos.size(); ++i) infos[i] = kLayouts[i].info;
  return infos;
}();

}  // namespace

const ChatLayout& layout_of(ChatFormat format) {
  for (const ChatLayout& layout : kLayouts) {
    if (layout.info.format == format) return layout;
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("The chat format is {}; there is nothing to render messages with.",
                          name_of(format)));
}

std::span<const ChatFormatInfo> chat_formats() {
  return kInfos;
}

std::string_view name_of(ChatFormat format) {
  for (const ChatFormatInfo& info : kInfos) {
    if (info.format == format) return info.name;
  }
  return format == ChatFormat::kNone ? "none" : "unknown";
}

ChatFormat chat_format_of(std::string_view template_text) {
  if (template_text.find_first_not_of(" \t\r\n") == template_text.npos) return ChatFormat::kNone;
  const uint64_t hash = hash_of_template(template_text);
  for (const ChatLayout& layout : kLayouts) {
    const auto& known = layout.templates;
    if (std::find(known.begin(), known.end(), hash) != known.end()) return layout.info.format;
  }
  return ChatFormat::kUnknown;
}

}  // namespace orthrus
