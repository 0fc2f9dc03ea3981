// What the connections of a server share.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "server/http/http_server.h"
#include "server/http/request_reader.h"
#include "server/http/workers.h"

namespace orthrus::server {

class Connection;

struct Context {
  explicit Context(HttpOptions given)
      : options(std::move(given)),
        bodies(std::make_shared<BodyMemory>(options.limits.bodies_bytes)) {}

  // On a thread for handlers; dropped where there is none any more.
  void run_elsewhere(std::function<void()> work) {
    const std::lock_guard lock(mutex);
    if (workers != nullptr) workers->run(std::move(work));
  }
  void set_workers(Workers* pool) {
    const std::lock_guard lock(mutex);
    workers = pool;
  }

  const HttpOptions options;
  const std::shared_ptr<BodyMemory> bodies;
  boost::asio::io_context io{1};
  std::atomic<bool> draining = false;
  std::atomic<int> answering = 0;
  std::atomic<int> open = 0;

  std::mutex mutex;
  Workers* workers = nullptr;

  // Of the event loop alone.
  std::shared_ptr<const Router> router;
  std::list<std::shared_ptr<Connection>> connections;
  std::function<void()> on_room;  // a connection has been closed
  std::vector<char> scratch = std::vector<char>(64 << 10);
};

}  // namespace orthrus::server
