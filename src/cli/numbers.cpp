#include "cli/numbers.h"

#include <algorithm>

#include "base/option_words.h"

namespace orthrus::cli {

std::optional<uint64_t> bytes_in(std::string_view text) {
  text = trimmed(text);
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<uint64_t> number = number_in<uint64_t>(text.substr(0, digits));
  const std::string_view unit = trimmed(text.substr(digits));
  if (!number || digits == 0) return std::nullopt;
  if (unit.empty() || same_letters(unit, "B")) return number;
  uint64_t binary = 1, decimal = 1;
  for (const std::string_view letter : {"K", "M", "G", "T"}) {
    binary *= 1024;
    decimal *= 1000;
    const bool is_binary = same_letters(unit, std::string(letter) + "iB");
    if (!is_binary && !same_letters(unit, std::string(letter) + "B")) continue;
    const uint64_t factor = is_binary ? binary : decimal;
    if (*number > std::numeric_limits<uint64_t>::max() / factor) return std::nullopt;
    return *number * factor;
  }
  return std::nullopt;
}

std::vector<std::string_view> items_of(std::string_view list) {
  list = trimmed(list);
  if (list.starts_with('[') && list.ends_with(']') && list.size() > 1) {
    list = trimmed(list.substr(1, list.size() - 2));
  }
  std::vector<std::string_view> items;
  bool comma = false;  // before what is left
  while (!list.empty() || comma) {
    const std::string_view item = list.substr(0, list.find_first_of(", \t\r\n"));
    items.push_back(item);
    list.remove_prefix(item.size());
    list = trimmed(list);
    comma = list.starts_with(',');
    if (comma) list = trimmed(list.substr(1));
  }
  return items;
}

}  // namespace orthrus::cli
