// What one client may ask of the server.
#pragma once

#include <chrono>
#include <cstddef>

namespace orthrus::server {

struct HttpLimits {
  size_t header_bytes = 32 << 10;   // request line and header; 431
  size_t body_bytes = 32 << 20;     // of one request; 413
  size_t bodies_bytes = 512 << 20;  // of all requests that are not parsed yet; 503
  size_t ahead_bytes = 64 << 10;    // that are read behind a request before it is answered
  size_t unsent_bytes = 4 << 20;    // of a streamed answer that wait for its client; it is cut off
  size_t connections = 4096;        // above, the one that has been idle for longest is closed

  std::chrono::milliseconds header_time{30'000};  // from its first byte to its last; 408
  std::chrono::milliseconds body_time{30'000};    // likewise, and a second more for each
  size_t body_rate = 1024;                        // so many bytes
  std::chrono::milliseconds idle_time{75'000};    // between requests; then the connection is closed
  std::chrono::milliseconds stall_time{30'000};   // in which a client takes none of its answer
  std::chrono::milliseconds linger_time{2'000};   // for a client to read why it is hung up on
};

}  // namespace orthrus::server
