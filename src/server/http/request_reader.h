// Bytes of a connection to requests.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/exchange.h"
#include "server/http/limits.h"

namespace orthrus::server {

// The bytes that the bodies of all requests hold. Thread-safe.
class BodyMemory {
 public:
  explicit BodyMemory(size_t limit) : limit_(limit) {}
  bool take(size_t bytes);  // false: there is no room
  void give_back(size_t bytes) { used_ -= bytes; }

 private:
  const size_t limit_;
  std::atomic<size_t> used_ = 0;
};

// A share of it, given back with the object.
class BodyShare {
 public:
  explicit BodyShare(std::shared_ptr<BodyMemory> memory) : memory_(std::move(memory)) {}
  BodyShare(BodyShare&& other) noexcept
      : memory_(std::move(other.memory_)), bytes_(std::exchange(other.bytes_, 0)) {}
  ~BodyShare() {
    if (memory_) memory_->give_back(bytes_);
  }
  bool grow(size_t bytes) {
    if (!memory_->take(bytes)) return false;
    bytes_ += bytes;
    return true;
  }

 private:
  std::shared_ptr<BodyMemory> memory_;
  size_t bytes_ = 0;
};

// Why a request is not read to its end.
struct BadRequest {
  int status;  // 400, 413, 415, 417, 431, 501, 503, 505
  std::string message;
};

// Reads one request.
class RequestReader {
 public:
  RequestReader(const HttpLimits& limits, std::shared_ptr<BodyMemory> memory);
  ~RequestReader();

  enum class Progress {
    kMore,    // all of it is read that is there
    kHeader,  // the header is complete; told once, before anything of the body is read
    kDone,
    kBad,
  };
  // Takes what belongs to the request from the front of `bytes`.
  Progress put(std::string_view& bytes);

  const BadRequest& problem() const;  // of kBad

  // From kHeader on, but for the body; the id is not set. Of kBad what is known of it,
  // the path as it was sent where it cannot be decoded.
  const HttpRequest& request() const;
  bool http_1_0() const;
  bool keep_alive() const;        // the client expects the connection to go on
  bool expects_continue() const;  // and sends its body when it has seen a 100
  bool has_body() const;          // of which something is not read yet
  size_t body_bytes() const;      // that have been read

  // Of kDone.
  HttpRequest take_request();
  BodyShare take_share();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus::server
