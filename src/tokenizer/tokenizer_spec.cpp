#include "tokenizer/tokenizer_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "files/display.h"
#include "orthrus/error.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/token_index.h"

namespace orthrus {
namespace {

// The vocabulary's tokens and the added ones, which may also be in the vocabulary: one id each.
class KnownTokens {
 public:
  KnownTokens(const TokenizerSpec& spec, const TokenizerFields& fields)
      : fields_(fields), index_(spec.vocab.size()) {
    for (const auto& token : spec.vocab) {
      take_id(token.text, token.id, fields.vocab);
      index_.add(token.text, token.id);
    }
    if (const auto twice = index_.sort()) refuse_twice(fields.vocab, *twice);
    std::set<std::string_view> contents;
    for (const auto& added : spec.added_tokens) {
      if (!contents.insert(added.content).second) refuse_twice(fields.added_tokens, added.content);
      check_known(added);
      take_id(added.content, added.id, fields.added_tokens);
    }
  }

  std::array<int32_t, 256> byte_ids() const {
    std::array<int32_t, 256> ids;
    for (int byte = 0; byte < 256; ++byte) {
      const std::string letter = letter_of_byte(static_cast<unsigned char>(byte));
      const auto id = index_.find(letter);
      if (!id) {
        fail(
            fmt::format("{} lacks {}, the letter of byte 0x{:02x}; each of the 256 bytes must "
                        "have a token.",
                        fields_.vocab, in_quotes(letter), byte));
      }
      ids[static_cast<size_t>(byte)] = *id;
    }
    return ids;
  }

  std::vector<Bpe::Merge> merges(std::span<const MergeTexts> texts) const {
    std::vector<Bpe::Merge> merges;
    merges.reserve(texts.size());
    std::string product;
    for (const auto& [left, right] : texts) {
      product.assign(left).append(right);
      const size_t rank = merges.size();
      merges.push_back({find(rank, left), find(rank, right), find(rank, product)});
    }
    check_no_pair_twice(merges);
    return merges;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kFile, fmt::format("{}: {}", fields_.file, what));
  }

  [[noreturn]] void refuse_twice(const std::string& field, std::string_view text) const {
    fail(fmt::format("{} has {} twice.", field, in_quotes(text)));
  }

  void take_id(const std::string& text, int32_t id, const std::string& field) {
    const auto index = static_cast<size_t>(id);
    if (text_of_.size() <= index) text_of_.resize(index + 1);
    const std::string*& owner = text_of_[index];
    if (owner != nullptr && *owner != text) {
      fail(fmt::format("{} has {} with id {}, which is that of {}; ids must differ.", field,
                       in_quotes(text), id, in_quotes(*owner)));
    }
    owner = &text;
  }

  void check_known(const TokenizerSpec::AddedToken& added) const {
    const auto known = index_.find(added.content);
    if (!known || *known == added.id) return;
    if (fields_.added_tokens == fields_.vocab) refuse_twice(fields_.vocab, added.content);
    fail(fmt::format("{} has {} with id {}, but in {} it has id {}.", fields_.added_tokens,
                     in_quotes(added.content), added.id, fields_.vocab, *known));
  }

  int32_t find(size_t rank, std::string_view text) const {
    const auto id = index_.find(text);
    if (!id) {
      fail(fmt::format("{}[{}] needs {}, which is not in {}.", fields_.merges, rank,
                       in_quotes(text), fields_.vocab));
    }
    return *id;
  }

  void check_no_pair_twice(const std::vector<Bpe::Merge>& merges) const {
    std::vector<std::pair<uint64_t, size_t>> pairs;
    pairs.reserve(merges.size());
    for (size_t rank = 0; rank < merges.size(); ++rank) {
      const auto left = static_cast<uint64_t>(merges[rank].left);
      pairs.emplace_back(left << 32 | static_cast<uint32_t>(merges[rank].right), rank);
    }
    std::sort(pairs.begin(), pairs.end());
    const auto twice =
        std::adjacent_find(pairs.begin(), pairs.end(),
                           [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice == pairs.end()) return;
    fail(fmt::format("{0}[{1}] merges the same pair as {0}[{2}].", fields_.merges,
                     std::next(twice)->second, twice->second));
  }

  const TokenizerFields& fields_;
  std::vector<const std::string*> text_of_;  // by id
  TokenIndex index_;                         // of the vocabulary's texts, which the spec holds
};

}  // namespace

void resolve_ids(TokenizerSpec& spec, std::span<const MergeTexts> merges,
                 const TokenizerFields& fields) {
  const KnownTokens known(spec, fields);
  spec.byte_ids = known.byte_ids();
  spec.merges = known.merges(merges);
}

}  // namespace orthrus
