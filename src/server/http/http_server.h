// HTTP/1.1 over TCP or a Unix socket: one thread for all connections, a few for handlers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/http/access.h"
#include "server/http/limits.h"
#include "server/http/router.h"

namespace orthrus::server {

// An exchange that is over, for the log.
struct HttpRecord {
  std::string id, method, path;  // the last two empty where the request's line was not read
  int status;                    // 499: the client went before the answer
  double seconds;                // from the request's last byte
  std::string note;              // Exchange::note
};

struct HttpOptions {
  std::string host = "127.0.0.1";
  int port = 0;             // 0: any
  std::string unix_socket;  // in place of host and port, where it is not empty
  AccessRules access;
  HttpLimits limits;
  int handler_threads = 4;
  std::function<void(const HttpRecord&)> on_answered;  // on any thread; may be empty
};

// A client that is slow, broken or gone costs a connection's memory and nothing of the others'
// time. Thread-safe.
class HttpServer {
 public:
  // Serves when it is made. Throws Error(kSystem) where it cannot listen, or
  // has no threads.
  HttpServer(HttpOptions options, Router router);
  // Hangs up on whoever is still there; exchanges that are held elsewhere may live on.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  const std::vector<std::string>& addresses() const;  // "http://127.0.0.1:8000"
  int port() const;

  // For requests that come from now on.
  void set_router(Router router);

  // Accepts no more connections, and closes each that there is after its next answer.
  void drain();
  int answering() const;  // requests whose answer has not been sent to its end
  int connections() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus::server
