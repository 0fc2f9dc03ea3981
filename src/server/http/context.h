// What the connections of a server share.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "server/http/http_server.h"
#include "server/http/request_reader.h"

namespace orthrus::server {

class Connection;

struct Context {
  explicit Context(HttpOptions given)
      : options(std::move(given)),
        bodies(std::make_shared<BodyMemory>(options.limits.bodies_bytes)) {}

  const HttpOptions options;
  const std::shared_ptr<BodyMemory> bodies;
  boost::asio::io_context io{1};
  std::function<void(std::function<void()>)> run_elsewhere;  // on a thread for handlers
  std::atomic<bool> draining = false;
  std::atomic<int> answering = 0;
  std::atomic<int> open = 0;

  // Of the event loop alone.
  std::shared_ptr<const Router> router;
  std::list<std::shared_ptr<Connection>> connections;
  std::function<void()> on_room;  // a connection has been closed
  std::vector<char> scratch = std::vector<char>(64 << 10);
};

}  // namespace orthrus::server
