#include "cli/numbers.h"

namespace orthrus::cli {

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
