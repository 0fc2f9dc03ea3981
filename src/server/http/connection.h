// One connection: requests in, answers out, in their order. Of the event loop alone.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "server/api/error.h"
#include "server/http/answer.h"
#include "server/http/context.h"
#include "server/http/refusal.h"
#include "server/http/request_reader.h"

namespace orthrus::server {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;
  using Socket = boost::asio::generic::stream_protocol::socket;

  // Adds itself to the context's connections until it is closed.
  static void start(std::shared_ptr<Context> context, Socket socket);

  Connection(std::shared_ptr<Context> context, Socket socket);

  // Ends it where its client is too slow.
  void check(Clock::time_point now);

  // It is not being answered: where there are too many, it may be closed.
  bool may_give_way() const { return state_ != State::kAnswering; }
  Clock::time_point idle_since() const { return since_; }

  // Hangs up; whoever makes the answer hears of it.
  void close();

 private:
  enum class State {
    kReading,    // a request, or waiting for one
    kAnswering,  // which ends when all of the answer is sent
    kLingering,  // has said its last, and waits for the client to read it
    kClosed,
  };

  void wait_readable();
  void wait_writable();
  void on_readable();
  void read_requests();
  void find_route();
  bool on_header();  // false: the connection is about to end
  void answer_request();
  void refuse(const ApiError& error, const Headers& extra = {});
  void pull();  // what is new of the answer
  void send();
  void on_answer_sent();
  void linger();

  const std::shared_ptr<Context> context_;
  Socket socket_;
  std::list<std::shared_ptr<Connection>>::iterator place_;
  State state_ = State::kReading;
  bool reading_ = false;  // waits for the socket
  bool writing_ = false;
  bool client_ended_ = false;  // its side of the connection

  std::string input_;  // read, and not taken yet
  std::optional<RequestReader> reader_;
  bool first_ = true;  // request of the connection
  bool header_done_ = false;
  Clock::time_point since_;               // of what is read or waited for now
  std::shared_ptr<const Router> router_;  // of the request, which `match_` points into
  Router::Match match_;
  std::optional<Refusal> refusal_;

  std::shared_ptr<Answer> answer_;
  bool answer_ended_ = false;
  bool keep_alive_ = true;
  std::string output_;
  size_t sent_ = 0;
  Clock::time_point progress_;  // when something of output_ was sent last
};

}  // namespace orthrus::server
