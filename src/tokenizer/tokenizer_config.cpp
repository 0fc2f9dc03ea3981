#include "tokenizer/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "files/display.h"
#include "files/json_document.h"
#include "tokenizer/json_field.h"

namespace orthrus {
namespace {

using AddedToken = TokenizerSpec::AddedToken;

constexpr std::array<const char*, 7> kNamedTokens = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

// "151643": a key of added_tokens_decoder.
int32_t id_of_key(const std::string& key, const Field& field) {
  int32_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  const bool is_plain = end == key.data() + key.size() && error == std::errc() && id >= 0;
  if (!is_plain || id >= kMaxTokens || std::to_string(id) != key) {
    field.refuse(fmt::format("its key must be a token id from 0 to {}", kMaxTokens - 1));
  }
  return id;
}

std::vector<AddedToken> read_decoder(const Field& root, const nlohmann::json& config,
                                     bool normalize) {
  std::vector<AddedToken> tokens;
  const Field decoder = root["added_tokens_decoder"];
  if (decoder.is_null()) return tokens;
  decoder.require_object();
  for (const auto& [key, ignored] : config["added_tokens_decoder"].items()) {
    const Field item = decoder[key];
    item.require_object();
    tokens.push_back(read_added_token(item, id_of_key(key, item), normalize));
  }
  std::ranges::sort(tokens, {}, &AddedToken::id);
  return tokens;
}

// The texts of eos_token and the like: each null, a string, or an object with one.
std::vector<std::string> read_named_tokens(const Field& root) {
  std::vector<std::string> names;
  for (const char* key : kNamedTokens) {
    const Field token = root[key];
    if (token.is_null()) continue;
    names.push_back(token.is_object() ? token["content"].string() : token.string());
  }
  return names;
}

class Joiner {
 public:
  Joiner(TokenizerSpec& spec, const std::string& file, const std::string& tokenizer_file)
      : spec_(spec), file_(file), tokenizer_file_(tokenizer_file) {
    for (size_t i = 0; i < spec.added_tokens.size(); ++i) remember(i);
  }

  // One pass over the vocabulary, for all that are not among the added tokens.
  void look_up(const std::vector<AddedToken>& tokens, const std::vector<std::string>& names) {
    std::map<std::string, int32_t, std::less<>> wanted;
    const auto want = [&](const std::string& content) {
      if (!added_.contains(content)) wanted.emplace(content, -1);
    };
    for (const AddedToken& token : tokens) want(token.content);
    for (const std::string& name : names) want(name);
    if (wanted.empty()) return;
    for (const auto& token : spec_.vocab) {
      const auto found = wanted.find(token.text);
      if (found != wanted.end()) found->second = token.id;
    }
    std::erase_if(wanted, [](const auto& item) { return item.second < 0; });
    in_vocab_ = std::move(wanted);
  }

  void add(const AddedToken& token) {
    if (const auto found = added_.find(token.content); found != added_.end()) {
      AddedToken& known = spec_.added_tokens[found->second];
      check_id(token, known.id, fmt::format("in {} it has", tokenizer_file_));
      known = token;
      return;
    }
    if (const auto found = in_vocab_.find(token.content); found != in_vocab_.end()) {
      check_id(token, found->second, fmt::format("in {} it has", tokenizer_file_));
    } else {
      check_id(
          token, next_id(),
          fmt::format("{} lacks it; a token that stands only here must have", tokenizer_file_));
    }
    append(token);
  }

  void make_special(const std::string& name) {
    if (const auto found = added_.find(name); found != added_.end()) {
      spec_.added_tokens[found->second].special = true;
    } else if (const auto in_vocab = in_vocab_.find(name); in_vocab != in_vocab_.end()) {
      append({name, in_vocab->second, /*special=*/true, /*normalized=*/false});
    }
  }

 private:
  void remember(size_t index) {
    const AddedToken& token = spec_.added_tokens[index];
    added_.emplace(token.content, index);
    after_added_ = std::max(after_added_, token.id + 1);
  }

  void append(const AddedToken& token) {
    spec_.added_tokens.push_back(token);
    remember(spec_.added_tokens.size() - 1);
  }

  int32_t next_id() const {
    return std::max(after_added_, static_cast<int32_t>(spec_.vocab.size()));
  }

  void check_id(const AddedToken& token, int32_t id, const std::string& why) const {
    if (token.id == id) return;
    throw Error(ErrorKind::kFile, fmt::format("{}: added_tokens_decoder.{} is {}, but {} id {}.",
                                              file_, token.id, in_quotes(token.content), why, id));
  }

  TokenizerSpec& spec_;
  const std::string& file_;
  const std::string& tokenizer_file_;
  std::map<std::string, size_t, std::less<>> added_;  // by content: where in spec_.added_tokens
  std::map<std::string, int32_t, std::less<>> in_vocab_;
  int32_t after_added_ = 0;
};

}  // namespace

void add_tokens_of_config(const TokenizerConfigText& config, const std::string& tokenizer_name,
                          TokenizerSpec& spec) {
  const JsonPointer fields = parse_json_object(config.json, config.name);
  const Field root(*fields, "", config.name);
  const std::vector<AddedToken> tokens = read_decoder(root, *fields, spec.normalize);
  const std::vector<std::string> names = read_named_tokens(root);
  Joiner joiner(spec, config.name, tokenizer_name);
  joiner.look_up(tokens, names);
  for (const AddedToken& token : tokens) joiner.add(token);
  for (const std::string& name : names) joiner.make_special(name);
}

}  // namespace orthrus
