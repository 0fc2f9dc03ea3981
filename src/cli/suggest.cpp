#include "cli/suggest.h"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

namespace orthrus::cli {
namespace {

constexpr size_t kLongest = 64;  // no name is as long

std::string plain(std::string_view name) {
  std::string text(name.substr(std::min(name.find_first_not_of('-'), name.size())));
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '_') c = '-';
  }
  return text;
}

// Letters to insert, drop, replace, or swap with their neighbour.
size_t edits_between(std::string_view a, std::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<size_t> edits((a.size() + 1) * width);
  const auto at = [&](size_t i, size_t j) -> size_t& { return edits[i * width + j]; };
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        at(i, j) = i + j;
        continue;
      }
      const size_t replaced = at(i - 1, j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
      at(i, j) = std::min({replaced, at(i - 1, j) + 1, at(i, j - 1) + 1});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
    }
  }
  return edits[a.size() * width + b.size()];
}

bool is_end_of(std::string_view word, std::string_view name) {
  return name.size() > word.size() && name.ends_with(word) &&
         name[name.size() - word.size() - 1] == '-';
}

// How far `name` is from `word`; kLongest when it is not meant.
size_t distance(std::string_view word, std::string_view name) {
  if (word == name) return 0;
  if (word.size() == 1 || name.size() == 1) return kLongest;
  const size_t edits = edits_between(word, name);
  const size_t most = std::max(word.size(), name.size()) / 3;
  const bool begins = name.starts_with(word);
  const bool ends = is_end_of(word, name) || is_end_of(name, word);
  if (begins) return 1;
  if (edits <= 2 && edits <= most) return edits;
  if (ends) return 3;
  return edits <= most ? 3 + edits : kLongest;
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> known) {
  const std::string wanted = plain(word);
  if (wanted.empty() || wanted.size() >= kLongest) return "";
  std::string best;
  size_t least = kLongest;
  for (const std::string& name : known) {
    const size_t d = distance(wanted, plain(name));
    if (d >= least) continue;
    least = d;
    best = name;
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const std::string name = nearest(word, known);
  return name.empty() ? "." : fmt::format("; did you mean {}?", name);
}

}  // namespace orthrus::cli
