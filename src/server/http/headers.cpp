#include "server/http/headers.h"

#include <algorithm>

namespace orthrus::server {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::optional<std::string_view> Headers::find(std::string_view name) const {
  for (const auto& [known, value] : fields_) {
    const bool same = std::ranges::equal(known, name, {}, lower, lower);
    if (same) return value;
  }
  return std::nullopt;
}

}  // namespace orthrus::server
