#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "files/display.h"
#include "files/files.h"
#include "files/json_document.h"
#include "orthrus/chat.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr size_t kMaxBytes = size_t{16} << 20;

[[noreturn]] void refuse(const std::string& name, const std::string& field, const json& value,
                         std::string_view expectation) {
  throw Error(ErrorKind::kFile,
              fmt::format("{}: {} is {}; it must be {}.", name, field, shown(value), expectation));
}

// Several templates are a list of {"name": ..., "template": ...}: chats use the one named
// "default".
ChatFormat format_of_list(const json& list, const std::string& name) {
  ChatFormat format = ChatFormat::kUnknown;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string field = fmt::format("chat_template[{}]", i);
    const json& item = list[i];
    if (!item.is_object()) refuse(name, field, item, "an object");
    for (const char* key : {"name", "template"}) {
      const json value = item.value(key, json());
      if (!value.is_string()) refuse(name, field + '.' + key, value, "a string");
    }
    if (item["name"] == "default")
      format = chat_format_of(item["template"].get_ref<const std::string&>());
  }
  return format;
}

ChatFormat format_of_config(const json& config, const std::string& name) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return ChatFormat::kNone;
  if (found->is_array()) return format_of_list(*found, name);
  if (!found->is_string()) {
    refuse(name, "chat_template", *found, "a string or a list of named templates");
  }
  return chat_format_of(found->get_ref<const std::string&>());
}

}  // namespace

ChatFormat detect_chat_format(const fs::path& directory) {
  const fs::path template_file = directory / "chat_template.jinja";
  if (has_entry(template_file)) return chat_format_of(read_text_file(template_file, kMaxBytes));
  const fs::path config_file = directory / "tokenizer_config.json";
  if (!has_entry(config_file)) return ChatFormat::kNone;
  const std::string name = shown(config_file);
  return format_of_config(parse_json_object(read_text_file(config_file, kMaxBytes), name), name);
}

}  // namespace orthrus
