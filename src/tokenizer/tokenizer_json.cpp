#include "tokenizer/tokenizer_json.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "files/display.h"
#include "orthrus/error.h"
#include "tokenizer/json_field.h"
#include "tokenizer/nfc.h"
#include "tokenizer/regex_syntax.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/tokenizer_document.h"

namespace orthrus {
namespace {

// The components of a pipeline's stage: itself, or those of a Sequence, nested or not.
void flatten(const Field& stage, const std::string& list_key, std::vector<Field>& parts) {
  if (stage["type"].string() != "Sequence") {
    parts.push_back(stage);
    return;
  }
  for (const Field& part : stage[list_key].items()) flatten(part, list_key, parts);
}

bool read_normalizer(const Field& normalizer) {
  if (normalizer.is_null()) return false;
  std::vector<Field> parts;
  flatten(normalizer, "normalizers", parts);
  for (const Field& part : parts) part["type"].require(part["type"].string() == "NFC", R"("NFC")");
  return !parts.empty();
}

std::string read_split(const Field& split) {
  const Field pattern = split["pattern"];
  pattern.require(!pattern["Regex"].is_null(), R"({"Regex": ...})");
  const Field behavior = split["behavior"];
  behavior.require(behavior.string() == "Isolated", R"("Isolated")");
  split["invert"].require_false();
  const Field regex = pattern["Regex"];
  if (const auto problem = find_regex_problem(regex.string())) {
    regex.refuse(fmt::format("at byte {} it has {}, which may mean another thing here than in the "
                             "Oniguruma that it is written for; only these are supported: {}",
                             problem->position, in_quotes(problem->construct), kRegexSyntax),
                 ErrorKind::kUnsupported);
  }
  return regex.string();
}

std::string read_pre_tokenizer(const Field& pre_tokenizer) {
  constexpr std::string_view kExpected = "a Sequence of Split and ByteLevel";
  pre_tokenizer.require(!pre_tokenizer.is_null(), kExpected);
  std::vector<Field> parts;
  flatten(pre_tokenizer, "pretokenizers", parts);
  for (const Field& part : parts) {
    const std::string type = part["type"].string();
    part["type"].require(type == "Split" || type == "ByteLevel", R"("Split" or "ByteLevel")");
  }
  pre_tokenizer.require(parts.size() == 2 && parts[0]["type"].string() == "Split" &&
                            parts[1]["type"].string() == "ByteLevel",
                        kExpected);
  const Field& byte_level = parts[1];
  byte_level["add_prefix_space"].require_false();
  const Field use_regex = byte_level["use_regex"];
  use_regex.require(!use_regex.boolean(true), "false");  // true where it is absent
  return read_split(parts[0]);
}

void check_type(const Field& component, const std::string& only) {
  component.require(!component.is_null(), only);
  const Field type = component["type"];
  type.require(type.string() == only, '"' + only + '"');
}

void check_affix(const Field& affix) {
  affix.require(affix.is_null() || affix.string().empty(), R"(null or "")");
}

void check_model(const Field& model) {
  check_type(model, "BPE");
  model["dropout"].require_null();
  if (!model["unk_token"].is_null()) model["unk_token"].string();  // every byte has a token: unused
  check_affix(model["continuing_subword_prefix"]);
  check_affix(model["end_of_word_suffix"]);
  model["byte_fallback"].require_false();
  model["vocab"].require_object();
  model["merges"].require_list();
}

std::vector<TokenizerSpec::AddedToken> read_added_tokens(const Field& list, bool normalize) {
  std::vector<TokenizerSpec::AddedToken> tokens;
  if (list.is_null()) return tokens;
  for (const Field& item : list.items()) {
    tokens.push_back(read_added_token(item, item["id"].token_id(), normalize));
  }
  return tokens;
}

}  // namespace

TokenizerSpec::AddedToken read_added_token(const Field& item, int32_t id, bool normalize) {
  item["single_word"].require_false();
  item["lstrip"].require_false();
  item["rstrip"].require_false();
  const Field content = item["content"];
  if (content.string().empty() || content.string().size() > kLongestAddedToken) {
    content.refuse(fmt::format("it must have 1 to {} bytes", kLongestAddedToken));
  }
  const bool special = item["special"].boolean(false);
  const bool normalized = item["normalized"].boolean(!special);
  return {normalized && normalize ? nfc(content.string()) : content.string(), id, special,
          normalized};
}

TokenizerSpec read_tokenizer_spec(std::string_view text, const std::string& name,
                                  const TokenizerConfigText* config) {
  TokenizerDocument document = parse_tokenizer_document(text, name);
  const Field root(*document.fields, "", name);
  const Field version = root["version"];
  version.require(version.is_null() || version.string() == "1.0", R"("1.0")");
  // "truncation" and "padding" are what the last call before saving asked for, as trainers leave
  // it: transformers sets both anew for each call.
  if (!root["post_processor"].is_null()) check_type(root["post_processor"], "ByteLevel");
  check_type(root["decoder"], "ByteLevel");
  check_model(root["model"]);

  TokenizerSpec spec;
  spec.normalize = read_normalizer(root["normalizer"]);
  spec.split_pattern = read_pre_tokenizer(root["pre_tokenizer"]);
  spec.ignore_merges = root["model"]["ignore_merges"].boolean(false);
  spec.added_tokens = read_added_tokens(root["added_tokens"], spec.normalize);
  spec.vocab.reserve(document.vocab.size());
  for (auto& [token, id] : document.vocab) spec.vocab.push_back({std::move(token), id});

  if (config != nullptr) add_tokens_of_config(*config, name, spec);

  const std::vector<MergeTexts> merges(document.merges.begin(), document.merges.end());
  resolve_ids(spec, merges, {name, "model.vocab", "added_tokens", "model.merges"});
  return spec;
}

}  // namespace orthrus
