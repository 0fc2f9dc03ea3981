#include "tokenizer/token_index.h"

#include <algorithm>

namespace orthrus {

TokenIndex::Entry TokenIndex::make_entry(std::string_view text, int32_t id) {
  uint64_t start = 0;
  for (size_t i = 0; i < 8; ++i) {
    start = start << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0);
  }
  return {start, text, id};
}

void TokenIndex::add(std::string_view text, int32_t id) {
  entries_.push_back(make_entry(text, id));
}

std::optional<std::string_view> TokenIndex::sort() {
  std::sort(entries_.begin(), entries_.end());
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.text == b.text; });
  if (twice == entries_.end()) return std::nullopt;
  return twice->text;
}

std::optional<int32_t> TokenIndex::find(std::string_view text) const {
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), make_entry(text, 0));
  if (found == entries_.end() || found->text != text) return std::nullopt;
  return found->id;
}

}  // namespace orthrus
