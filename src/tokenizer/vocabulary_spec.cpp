#include "tokenizer/vocabulary_spec.h"

#include <fmt/format.h>

#include <optional>

#include "files/display.h"
#include "orthrus/error.h"
#include "tokenizer/utf8.h"

namespace orthrus {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
constexpr std::string_view kMerges = "tokenizer.ggml.merges";

// Of all texts together; real vocabularies have less than 4 MB.
constexpr size_t kMaxBytes = size_t{128} << 20;

// How a text is split, by the name that tokenizer.ggml.pre has for it. All of them normalize to
// NFC first.
struct Split {
  std::string_view name;
  std::string_view pattern;
};
constexpr Split kSplits[] = {
    {"qwen2",  // Qwen2, Qwen2.5 and Qwen3
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

enum TokenType : int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

class Reader {
 public:
  explicit Reader(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  TokenizerSpec read() const {
    check_sizes();
    TokenizerSpec spec;
    spec.normalize = true;
    spec.split_pattern = split_pattern();
    spec.vocab.reserve(vocabulary_.tokens.size());
    for (size_t i = 0; i < vocabulary_.tokens.size(); ++i) add_token(i, spec);
    resolve_ids(
        spec, merges(),
        {vocabulary_.name, std::string(kTokens), std::string(kTokens), std::string(kMerges)});
    spec.prompt_start = prompt_start();
    return spec;
  }

 private:
  [[noreturn]] void fail(const std::string& what, ErrorKind kind = ErrorKind::kFile) const {
    throw Error(kind, fmt::format("{}: {}", vocabulary_.name, what));
  }

  void check_count(std::string_view field, size_t count) const {
    if (count <= static_cast<size_t>(kMaxTokens)) return;
    fail(fmt::format("{} has {} entries; at most {} are possible.", field, count, kMaxTokens));
  }

  void check_sizes() const {
    check_count(kTokens, vocabulary_.tokens.size());
    check_count(kMerges, vocabulary_.merges.size());
    if (vocabulary_.types.size() != vocabulary_.tokens.size()) {
      fail(fmt::format("{} has {} entries, but {} has {}; they must be as many.", kTypes,
                       vocabulary_.types.size(), kTokens, vocabulary_.tokens.size()));
    }
    size_t bytes = 0;
    for (const auto* list : {&vocabulary_.tokens, &vocabulary_.merges}) {
      for (const std::string_view text : *list) bytes += text.size();
    }
    if (bytes > kMaxBytes) {
      fail(fmt::format("{} and {} have {} bytes; at most {} are possible.", kTokens, kMerges, bytes,
                       kMaxBytes));
    }
  }

  std::string split_pattern() const {
    std::string names;
    for (const Split& split : kSplits) {
      if (split.name == vocabulary_.pre) return std::string(split.pattern);
      names.append(names.empty() ? "" : " or ").append(in_quotes(split.name));
    }
    fail(fmt::format("tokenizer.ggml.pre is {}; only {} is supported.", in_quotes(vocabulary_.pre),
                     names),
         ErrorKind::kUnsupported);
  }

  void add_token(size_t index, TokenizerSpec& spec) const {
    const std::string_view text = vocabulary_.tokens[index];
    const auto id = static_cast<int32_t>(index);
    switch (const int32_t type = vocabulary_.types[index]) {
      case kNormal:
        spec.vocab.push_back({std::string(text), id});
        break;
      case kControl:
      case kUserDefined:
        check_added(index, text);
        spec.added_tokens.push_back({std::string(text), id, type == kControl, false});
        break;
      case kUnused:  // fills the table up to the rows of the embedding: no text is this token's
        break;
      default:
        fail(fmt::format("{}[{}] is {}; only 1 (normal), 3 (control), 4 (user-defined) and 5 "
                         "(unused) are supported.",
                         kTypes, index, type),
             ErrorKind::kUnsupported);
    }
  }

  void check_added(size_t index, std::string_view text) const {
    const bool is_text = !find_invalid_utf8(text);
    if (is_text && !text.empty() && text.size() <= kLongestAddedToken) return;
    fail(
        fmt::format("{}[{}] is {}; a control or user-defined token must have 1 to {} bytes of "
                    "UTF-8.",
                    kTokens, index, in_quotes(text), kLongestAddedToken));
  }

  std::vector<MergeTexts> merges() const {
    std::vector<MergeTexts> merges;
    merges.reserve(vocabulary_.merges.size());
    for (const std::string_view merge : vocabulary_.merges) {
      const size_t space = merge.find(' ');
      if (space == merge.npos || merge.find(' ', space + 1) != merge.npos) {
        fail(fmt::format(R"({}[{}] is {}; it must be "left right".)", kMerges, merges.size(),
                         in_quotes(merge)));
      }
      merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    }
    return merges;
  }

  int32_t prompt_start() const {
    if (!vocabulary_.add_bos) return -1;
    const int32_t id = vocabulary_.bos_token_id;
    if (id < 0 || static_cast<size_t>(id) >= vocabulary_.tokens.size()) {
      fail(
          fmt::format("tokenizer.ggml.bos_token_id is {}; where tokenizer.ggml.add_bos_token is "
                      "true it must be a token's id, from 0 to {}.",
                      id < 0 ? "missing" : std::to_string(id), vocabulary_.tokens.size() - 1));
    }
    return id;
  }

  const Vocabulary& vocabulary_;
};

}  // namespace

TokenizerSpec read_vocabulary_spec(const Vocabulary& vocabulary) {
  return Reader(vocabulary).read();
}

}  // namespace orthrus
