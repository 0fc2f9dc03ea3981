#include "checkpoint/model_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/heads.h"
#include "checkpoint/huggingface/directory.h"
#include "files/display.h"
#include "files/files.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;

// A model's id on Hugging Face, and what other programs let people write behind it.
struct HubId {
  std::string owner, name, tag;
};

// One part of an id: these characters need no quotes in a shell.
bool is_part_of_id(std::string_view text) {
  return !text.empty() && text.front() != '.' && text.front() != '-' && text.size() <= 96 &&
         std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

// "OWNER/NAME", with an address before it, and with "/..." or ":TAG" behind it.
std::optional<HubId> hub_id_in(std::string_view text) {
  bool is_address = false;
  for (const std::string_view start :
       {"https://", "http://", "hf://", "huggingface.co/", "hf.co/"}) {
    if (!text.starts_with(start)) continue;
    text.remove_prefix(start.size());
    is_address |= start != "https://" && start != "http://";
  }
  const auto take = [&text](std::string_view ends) {
    const std::string_view part = text.substr(0, text.find_first_of(ends));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    return std::string(part);
  };
  HubId id{take("/"), {}, {}};
  const size_t slash = text.find('/');
  const bool has_more = slash != text.npos && slash + 1 < text.size();
  id.name = take("/:");
  if (!has_more) id.tag = take("/");
  if (!is_part_of_id(id.owner) || !is_part_of_id(id.name)) return std::nullopt;
  if (!id.tag.empty() && !is_part_of_id(id.tag)) return std::nullopt;
  if (!is_address && (has_more || id.name.ends_with(".gguf"))) return std::nullopt;
  return id;
}

[[noreturn]] void fail_is_not_there(const fs::path& model) {
  std::error_code ignored;
  const fs::path parent = model.parent_path();
  const std::optional<HubId> id = hub_id_in(model.string());
  if (id && !fs::exists(parent, ignored)) {
    throw Error(
        ErrorKind::kFile,
        fmt::format("{0}: is not there. It looks like a model's id on Hugging Face; nothing is "
                    "downloaded here. With Python's huggingface_hub, \"hf download {1}/{2}{3} "
                    "--local-dir models/{2}\" does that; then the model is models/{2}.",
                    shown(model), id->owner, id->name,
                    id->tag.empty() ? "" : fmt::format(" --include '*{}*'", id->tag)));
  }
  if (model.string().find("://") != std::string::npos) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: is an address; nothing is downloaded here. Download the model, "
                            "and give its path.",
                            shown(model)));
  }
  throw Error(ErrorKind::kFile,
              fmt::format("{}: is not there; a model is a directory that holds config.json and "
                          "model.safetensors, or a GGUF file.",
                          shown(model)));
}

// People also name one file of the directory that is the model.
void refuse_file_of_directory(const fs::path& file) {
  if (file.extension() != ".json" && file.extension() != ".safetensors") return;
  const fs::path directory = file.has_parent_path() ? file.parent_path() : fs::path(".");
  throw Error(ErrorKind::kFile,
              fmt::format("{}: is one file of a model; give the directory that holds them all: {}.",
                          shown(file), shown(directory)));
}

}  // namespace

bool is_gguf(const fs::path& model) {
  std::error_code ignored;
  return !fs::is_directory(model, ignored);
}

std::vector<std::string> gguf_models_in(const fs::path& directory, size_t most) {
  std::vector<std::string> models;
  std::set<std::string> stems;
  for (const std::string& name : names_in(directory, most)) {
    if (fs::path(name).extension() != ".gguf" || is_name_of_heads(name)) continue;
    if (name.starts_with("mmproj")) continue;
    if (stems.insert(gguf_stem(name)).second) models.push_back(name);
  }
  return models;
}

fs::path resolve_model(const fs::path& model) {
  std::error_code ignored;
  if (!fs::exists(model, ignored)) fail_is_not_there(model);
  if (is_gguf(model)) {
    refuse_file_of_directory(model);
    return model;
  }
  if (has_huggingface_weights(model)) return model;
  const std::vector<std::string> models = gguf_models_in(model);
  if (models.empty()) return model;
  if (models.size() == 1) return model / models.front();
  throw Error(ErrorKind::kFile,
              fmt::format("{}: holds several models in GGUF; name the one to use: "
                          "{}.",
                          shown(model), list_in_quotes(models)));
}

}  // namespace orthrus
