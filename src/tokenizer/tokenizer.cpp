#include "orthrus/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/float_environment.h"
#include "files/display.h"
#include "files/files.h"
#include "orthrus/error.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/nfc.h"
#include "tokenizer/split.h"
#include "tokenizer/token_index.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"
#include "tokenizer/vocabulary_spec.h"

namespace orthrus {
namespace {

constexpr size_t kMaxFileBytes = size_t{128} << 20;  // real ones have up to 40 MB
constexpr size_t kMaxConfigBytes = size_t{16} << 20;
constexpr size_t kMaxTextBytes = std::numeric_limits<int32_t>::max();

// What each id stands for. As in the reference implementation, a token whose spelling is not all
// letters of bytes, like an added token with a space in it, stands for its spelling.
class TokenTable {
 public:
  explicit TokenTable(const TokenizerSpec& spec) {
    std::vector<const std::string*> texts;
    const auto add = [&](const std::string& text, int32_t id) {
      const auto index = static_cast<size_t>(id);
      if (index >= texts.size()) texts.resize(index + 1);
      texts[index] = &text;
    };
    for (const auto& token : spec.vocab) add(token.text, token.id);
    for (const auto& token : spec.added_tokens) add(token.content, token.id);
    for (const std::string* text : texts) {
      if (text != nullptr) bytes_ += bytes_of_letters(*text).value_or(*text);
      ends_.push_back(static_cast<uint32_t>(bytes_.size()));
    }
    special_.resize(texts.size());
    for (const auto& token : spec.added_tokens) {
      special_[static_cast<size_t>(token.id)] = token.special;
    }
  }

  size_t size() const { return ends_.size(); }
  bool contains(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < size(); }

  std::string_view bytes(int32_t id) const {
    if (!contains(id)) return {};
    const auto index = static_cast<size_t>(id);
    const size_t begin = index == 0 ? 0 : ends_[index - 1];
    return std::string_view(bytes_).substr(begin, ends_[index] - begin);
  }

  bool is_special(int32_t id) const { return contains(id) && special_[static_cast<size_t>(id)]; }

 private:
  std::string bytes_;  // of all tokens; a file's limit keeps it below 4 GiB
  std::vector<uint32_t> ends_;
  std::vector<bool> special_;
};

// Those of which `choose` is true.
template <typename Choose>
AddedTokens added_tokens(const TokenizerSpec& spec, Choose choose) {
  std::vector<AddedTokens::Token> tokens;
  for (const auto& token : spec.added_tokens) {
    if (choose(token)) tokens.push_back({token.content, token.id});
  }
  return AddedTokens(std::move(tokens));
}

// The vocabulary's tokens by their bytes.
TokenIndex whole_tokens(const TokenizerSpec& spec, const TokenTable& table) {
  TokenIndex index;
  if (!spec.ignore_merges) return index;
  for (const auto& token : spec.vocab) {
    if (bytes_of_letters(token.text)) index.add(table.bytes(token.id), token.id);
  }
  index.sort();
  return index;
}

void check_text(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    throw Error(ErrorKind::kUsage, fmt::format("The text has {} bytes; at most {} can be encoded.",
                                               text.size(), kMaxTextBytes));
  }
  if (const auto position = find_invalid_utf8(text)) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("The text is not valid UTF-8: no character starts at byte {} (0x{:02x}).",
                    *position, static_cast<unsigned char>(text[*position])));
  }
}

}  // namespace

struct Tokenizer::Impl {
  Impl(const TokenizerSpec& spec, const std::string& name)
      : table(spec),
        added(added_tokens(spec, [](const auto&) { return true; })),
        raw_added(added_tokens(spec, [](const auto& token) { return !token.normalized; })),
        normalized_added(added_tokens(spec, [](const auto& token) { return token.normalized; })),
        normalize(spec.normalize),
        prompt_start(spec.prompt_start),
        split(spec.split_pattern, name),
        whole(whole_tokens(spec, table)),
        bpe(spec.byte_ids, spec.merges) {}

  // Of a text that has no added tokens.
  void encode_plain(std::string_view text, Bpe::Scratch& scratch, std::vector<int32_t>& ids) const {
    for (const std::string_view piece : split.split(text)) {
      if (const auto id = whole.find(piece)) {
        ids.push_back(*id);
      } else {
        bpe.encode(piece, scratch, ids);
      }
    }
  }

  TokenTable table;
  AddedTokens added;
  AddedTokens raw_added;         // to be found in the text as it is
  AddedTokens normalized_added;  // to be found in the normalized text
  bool normalize;
  int32_t prompt_start;  // -1: none
  SplitPattern split;
  TokenIndex whole;  // empty where merges always decide
  Bpe bpe;
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& file,
                          const std::optional<std::filesystem::path>& config) {
  const FloatEnvironment ours;
  if (!config) return parse(read_text_file(file, kMaxFileBytes), shown(file));
  const std::string json = read_text_file(file, kMaxFileBytes);
  const std::string config_json = read_text_file(*config, kMaxConfigBytes);
  const TokenizerConfigText config_text{config_json, shown(*config)};
  const std::string name = shown(file);
  return Tokenizer(
      std::make_unique<const Impl>(read_tokenizer_spec(json, name, &config_text), name));
}

Tokenizer Tokenizer::parse(std::string_view json, const std::string& name) {
  return Tokenizer(std::make_unique<const Impl>(read_tokenizer_spec(json, name), name));
}

Tokenizer Tokenizer::from_vocabulary(const Vocabulary& vocabulary) {
  return Tokenizer(std::make_unique<const Impl>(read_vocabulary_spec(vocabulary), vocabulary.name));
}

int Tokenizer::vocab_size() const {
  return static_cast<int>(impl_->table.size());
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  check_text(text);
  std::vector<int32_t> ids;
  Bpe::Scratch scratch;
  const auto push = [&](int32_t id) { ids.push_back(id); };
  const auto encode_plain = [&](std::string_view plain) {
    impl_->encode_plain(plain, scratch, ids);
  };
  const auto encode_raw = [&](std::string_view raw) {
    if (impl_->normalize) {
      impl_->normalized_added.cut(nfc(raw), encode_plain, push);
    } else {
      impl_->normalized_added.cut(raw, encode_plain, push);
    }
  };
  impl_->raw_added.cut(text, encode_raw, push);
  return ids;
}

std::vector<int32_t> Tokenizer::encode_prompt(std::string_view text) const {
  std::vector<int32_t> ids = encode(text);
  const int32_t start = impl_->prompt_start;
  if (start >= 0 && (ids.empty() || ids.front() != start)) ids.insert(ids.begin(), start);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (!skip_special || !is_special(id)) bytes += token_bytes(id);
  }
  std::string text;
  if (append_replacing_invalid(text, bytes) > 0) text += kReplacementCharacter;
  return text;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return impl_->table.bytes(id);
}

bool Tokenizer::is_special(int32_t id) const {
  return impl_->table.is_special(id);
}

std::optional<int32_t> Tokenizer::find_added(std::string_view content) const {
  return impl_->added.find(content);
}

}  // namespace orthrus
