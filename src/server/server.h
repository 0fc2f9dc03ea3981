// A model behind HTTP.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/dispatch.h"
#include "server/http/http_server.h"
#include "server/server_info.h"

namespace orthrus::server {

// Thread-safe but for start().
class Server {
 public:
  // Listens, and says that the model is being loaded. Throws Error(kSystem) as HttpServer does.
  Server(HttpOptions options, const std::string& version);
  // Hangs up, and ends what runs.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::vector<std::string>& addresses() const;
  int port() const;

  // Serves all routes from now on. Once.
  // The context that requests are told is no longer than the cache.
  void start(Engine engine, ServerInfo info, DispatchLimits limits);
  const Dispatcher& dispatcher() const;  // after start()

  // Takes nothing new, and goes on with what there is, until it is idle().
  void drain();
  bool idle() const;
  void cancel_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus::server
