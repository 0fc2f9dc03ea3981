#include "tokenizer/chat_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "orthrus/error.h"

namespace orthrus {
namespace {

// A template as Jinja reads it: with \n for every kind of line end, without one at the end of all,
// and, as transformers sets trim_blocks, without the one after a block there.
std::string as_jinja_reads(std::string_view text) {
  std::string read;
  read.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_crlf = text.substr(i).starts_with("\r\n");
    if (!is_crlf) read += text[i] == '\r' ? '\n' : text[i];
  }
  if (read.ends_with('\n')) read.pop_back();
  if (read.ends_with("%}\n")) read.pop_back();
  return read;
}

// FNV-1a of a template without the white space at the ends of lines that shows in nothing it
// renders: what stands before {%- or {{- is dropped, line ends too.
uint64_t hash_of_template(std::string_view template_text) {
  constexpr std::string_view kSpaces = " \t\n";
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](char c) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  const std::string read = as_jinja_reads(template_text);
  for (std::string_view text = read; !text.empty();) {
    const std::string_view spaces =
        text.substr(0, std::min(text.find_first_not_of(kSpaces), text.size()));
    text.remove_prefix(spaces.size());
    const bool dropped = text.starts_with("{%-") || text.starts_with("{{-");
    const size_t last_line = spaces.rfind('\n') + 1;  // its spaces are the next line's indentation
    for (size_t i = 0; i < spaces.size(); ++i) {
      if (!dropped || spaces[i] == '\n' || i >= last_line) add(spaces[i]);
    }
    const size_t word = std::min(text.find_first_of(kSpaces), text.size());
    for (const char c : text.substr(0, word)) add(c);
    text.remove_prefix(word);
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
  throw Error(
      ErrorKind::kUsage,
      fmt::format("The chat format is {}: nothing says how messages become a prompt. Choose "
                  "a chat format, or continue plain text.",
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
