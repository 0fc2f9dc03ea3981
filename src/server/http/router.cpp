#include "server/http/router.h"

#include <algorithm>

namespace orthrus::server {
namespace {

bool takes(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with("/*")) return pattern == path;
  pattern.remove_suffix(1);
  return path.size() > pattern.size() && path.starts_with(pattern);
}

bool is_at_or_below(std::string_view path, std::string_view top) {
  while (path.starts_with("//")) path.remove_prefix(1);
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

}  // namespace

void Router::answer_all(const Handler& handler) {
  for (Route& route : routes_) {
    route.at_once = true;
    route.handler = handler;
  }
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
  std::string_view longest;
  for (const Route& route : routes_) {
    if (route.path.size() > longest.size() && takes(route.path, path)) longest = route.path;
  }
  Match match;
  for (const auto& [top, form] : forms_) {
    if (is_at_or_below(path, top)) match.errors = form;
  }
  if (longest.empty()) return match;
  for (const Route& route : routes_) {
    if (route.path != longest) continue;
    match.allowed += route.method == "GET" ? "GET, HEAD, " : route.method + ", ";
    const bool head = method == "HEAD" && route.method == "GET";
    if (route.method == method || head) match.route = &route;
  }
  match.allowed += "OPTIONS";
  return match;
}

}  // namespace orthrus::server
