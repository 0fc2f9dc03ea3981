// Which handler a request goes to.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/exchange.h"

namespace orthrus::server {

// The body of an error's answer, JSON, as the clients of an API read it.
using ErrorForm = std::string (*)(const ApiError& error, std::string_view request_id);

enum class Access {
  kKey,   // needs the API key, where the server has one
  kOpen,  // for everyone: health checks, the page
};

struct Route {
  std::string method;  // "GET", which is also what answers HEAD
  std::string path;    // whole, or one that ends in "/*", which takes whatever is below
  Access access = Access::kKey;
  bool at_once = false;  // it takes no time, and is run on the event loop itself
  Handler handler{};
};

class Router {
 public:
  void add(std::string method, std::string path, Handler handler) {
    add({.method = std::move(method), .path = std::move(path), .handler = std::move(handler)});
  }
  void add(Route route) { routes_.push_back(std::move(route)); }

  // From now on this answers all that was added before, at once.
  void answer_all(const Handler& handler);

  // The form of errors at this path and at all below it, whether there are routes or not.
  // Elsewhere it is OpenAI's. Further slashes before a path, as a client has them whose base URL
  // ends in one, don't count.
  void add_errors(std::string path, ErrorForm form) { forms_.emplace_back(std::move(path), form); }

  struct Match {
    const Route* route = nullptr;  // null: no such path, or none of its methods
    std::string allowed;           // "GET, HEAD, OPTIONS", the path's methods; empty: no such path
    ErrorForm errors = nullptr;    // null: OpenAI's
  };
  // Where several paths match, the longest does. The route lives as long as the router is
  // unchanged.
  Match find(std::string_view method, std::string_view path) const;

 private:
  std::vector<Route> routes_;
  std::vector<std::pair<std::string, ErrorForm>> forms_;
};

}  // namespace orthrus::server
