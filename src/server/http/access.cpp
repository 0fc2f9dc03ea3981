#include "server/http/access.h"

#include <algorithm>

namespace orthrus::server {
namespace {

bool equal_in_constant_time(std::string_view key, std::string_view given) {
  unsigned char different = key.size() != given.size();
  for (size_t i = 0; i < given.size(); ++i) {
    different |= static_cast<unsigned char>(given[i] ^ (i < key.size() ? key[i] : ~given[i]));
  }
  return different == 0;
}

bool is_one(const std::vector<std::string>& keys, std::string_view given) {
  bool found = false;
  for (const std::string& key : keys) found |= equal_in_constant_time(key, given);
  return found;
}

}  // namespace

bool is_cors_origin(std::string_view text) {
  if (text == "*" || text == "null") return true;
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz", kDigits = "0123456789";
  const auto only = [&](std::string_view part, std::string_view others) {
    return !part.empty() && std::ranges::all_of(part, [&](char c) {
      return kLetters.find(c) != kLetters.npos || kDigits.find(c) != kDigits.npos ||
             others.find(c) != others.npos;
    });
  };
  const size_t scheme = text.find("://");
  if (scheme == text.npos || !only(text.substr(0, scheme), "+-.")) return false;
  std::string_view host = text.substr(scheme + 3);
  const size_t colon = host.rfind(':');
  if (colon != host.npos && !host.ends_with(']')) {
    const std::string_view port = host.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.find_first_not_of(kDigits) != port.npos)
      return false;
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    return only(host.substr(1, host.size() - 2), ":.");
  }
  return only(host, "-._");
}

bool has_key(const AccessRules& rules, const HttpRequest& request) {
  if (rules.api_keys.empty()) return true;
  if (const auto key = request.headers.find("X-API-Key")) {
    if (is_one(rules.api_keys, *key)) return true;
  }
  constexpr std::string_view kBearer = "bearer ";
  auto authorization = request.headers.find("Authorization");
  if (!authorization || authorization->size() < kBearer.size()) return false;
  const bool bearer = std::equal(kBearer.begin(), kBearer.end(), authorization->begin(),
                                 [](char a, char b) { return a == (b | 0x20); });
  if (!bearer) return false;
  authorization->remove_prefix(kBearer.size());
  return is_one(rules.api_keys, *authorization);
}

Headers cors_headers(const AccessRules& rules, const HttpRequest& request) {
  const auto origin = request.headers.find("Origin");
  if (!origin || rules.cors_origins.empty()) return {};
  const auto listed = [&](std::string_view name) {
    return std::ranges::find(rules.cors_origins, name) != rules.cors_origins.end();
  };
  const bool all = listed("*");
  if (!all && !listed(*origin)) return {{"Vary", "Origin"}};
  Headers headers{{"Access-Control-Allow-Origin", all ? "*" : std::string(*origin)},
                  {"Access-Control-Expose-Headers", "X-Request-Id, Retry-After"}};
  if (!all) headers.add("Vary", "Origin");
  if (request.method == "OPTIONS" && request.headers.find("Access-Control-Request-Method")) {
    headers.add("Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    if (const auto asked = request.headers.find("Access-Control-Request-Headers")) {
      headers.add("Access-Control-Allow-Headers", std::string(*asked));
    }
    headers.add("Access-Control-Max-Age", "600");
  }
  return headers;
}

}  // namespace orthrus::server
