// The log, on standard error: one line an event.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/http_server.h"

namespace orthrus::server {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError };

// Thread-safe. Lines are written by a thread of its own, so that a reader who stops reading holds
// nobody up: lines are dropped then, and counted.
class Log {
 public:
  explicit Log(LogLevel least, int file = 2);
  ~Log();  // writes what there is
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void write(LogLevel level, std::string_view message);
  // "id=... POST /v1/chat/completions 200 1.204s ...". What health checks and dashboards ask is of
  // kDebug, an answer of 500 and above of kWarning.
  void write(const HttpRecord& record);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus::server
