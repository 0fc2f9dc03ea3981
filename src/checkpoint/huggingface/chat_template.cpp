#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "checkpoint/huggingface/directory.h"
#include "files/display.h"
#include "files/json_document.h"
#include "files/recognize.h"
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

// A template, too, begins with a brace.
void refuse_other_than_text(std::string_view text, const std::string& name) {
  const std::string_view what = what_it_is(text);
  if (what.empty() || what == kItIsJson) return;
  throw Error(ErrorKind::kFile, fmt::format("{}: is not a template: {}.", name, what));
}

// Several templates are a list of {"name": ..., "template": ...}: chats use the one named
// "default".
std::string default_of(const json& list, const std::string& name) {
  const json null;
  std::string default_template(kNoDefaultTemplate);
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string field = fmt::format("chat_template[{}]", i);
    const json& item = list[i];
    if (!item.is_object()) refuse(name, field, item, "an object");
    for (const char* key : {"name", "template"}) {
      const auto found = item.find(key);
      const json& value = found == item.end() ? null : *found;
      if (!value.is_string()) refuse(name, field + '.' + key, value, "a string");
    }
    if (is_text(item["name"], "default")) default_template = item["template"].get<std::string>();
  }
  return default_template;
}

}  // namespace

std::string read_chat_template(const fs::path& directory) {
  const fs::path template_file = directory / "chat_template.jinja";
  if (has_entry(template_file)) {
    std::string text = read_text_file(template_file, kMaxBytes);
    refuse_other_than_text(text, shown(template_file));
    return text;
  }
  const fs::path config_file = directory / "tokenizer_config.json";
  if (!has_entry(config_file)) return {};
  const std::string name = shown(config_file);
  const JsonPointer config = parse_json_object(read_text_file(config_file, kMaxBytes), name);
  const auto found = config->find("chat_template");
  if (found == config->end() || found->is_null()) return {};
  if (found->is_array()) return default_of(*found, name);
  if (!found->is_string()) {
    refuse(name, "chat_template", *found, "a string or a list of named templates");
  }
  return found->get<std::string>();
}

}  // namespace orthrus
