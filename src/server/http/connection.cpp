#include "server/http/connection.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "server/http/http_exchange.h"
#include "server/http/response_head.h"

namespace orthrus::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

std::string_view type_of(int status) {
  return status < 500 ? "invalid_request_error" : "server_error";
}

bool would_block(error_code error) {
  return error == asio::error::would_block || error == asio::error::try_again ||
         error == asio::error::interrupted;
}

}  // namespace

Connection::Connection(std::shared_ptr<Context> context, Socket socket)
    : context_(std::move(context)), socket_(std::move(socket)), since_(Clock::now()) {}

void Connection::start(std::shared_ptr<Context> context, Socket socket) {
  const auto connection = std::make_shared<Connection>(context, std::move(socket));
  context->connections.push_front(connection);
  connection->place_ = context->connections.begin();
  context->open = static_cast<int>(context->connections.size());
  connection->wait_readable();
}

void Connection::wait_readable() {
  if (reading_ || client_ended_ || state_ == State::kClosed) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code error) {
    self->reading_ = false;
    if (!error) self->on_readable();
  });
}

void Connection::wait_writable() {
  if (writing_) return;
  writing_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](error_code error) {
    self->writing_ = false;
    if (!error) self->send();
  });
}

void Connection::on_readable() {
  if (state_ == State::kClosed) return;
  // Behind a request that is being answered, so much of the next ones is read that it is seen when
  // the client goes.
  const HttpLimits& limits = context_->options.limits;
  if (state_ == State::kAnswering && input_.size() >= limits.ahead_bytes) return;
  error_code error;
  const size_t size = socket_.read_some(asio::buffer(context_->scratch), error);
  if (error == asio::error::eof) {
    client_ended_ = true;
    if (state_ != State::kAnswering) return close();
    // It may still read what there is; but what was not answered yet is not waited for.
    return answer_->client_left(false);
  }
  if (error && !would_block(error)) return close();
  if (!error && state_ != State::kLingering) input_.append(context_->scratch.data(), size);
  if (state_ == State::kReading) read_requests();
  wait_readable();
}

void Connection::read_requests() {
  while (state_ == State::kReading) {
    if (!reader_) {
      if (input_.empty()) return;
      reader_.emplace(context_->options.limits, context_->bodies);
      header_done_ = false;
      refusal_.reset();
      match_ = {};
      since_ = Clock::now();
    }
    std::string_view rest = input_;
    const RequestReader::Progress progress = reader_->put(rest);
    input_.erase(0, input_.size() - rest.size());
    switch (progress) {
      case RequestReader::Progress::kMore:
        return;
      case RequestReader::Progress::kHeader:
        if (!on_header()) return;
        break;
      case RequestReader::Progress::kDone:
        answer_request();
        break;
      case RequestReader::Progress::kBad: {
        find_route();  // whose form the error has
        const auto& [status, message] = reader_->problem();
        return refuse({status, std::string(type_of(status)), message});
      }
    }
  }
}

void Connection::find_route() {
  const HttpRequest& request = reader_->request();
  router_ = context_->router;
  match_ = router_->find(request.method, request.path);
}

bool Connection::on_header() {
  header_done_ = true;
  since_ = Clock::now();
  const HttpRequest& request = reader_->request();
  find_route();
  refusal_ = refusal_of(request, match_, context_->options.access);
  if (refusal_ && reader_->has_body()) {
    refuse(refusal_->error, refusal_->extra);
    return false;
  }
  if (reader_->expects_continue()) {
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
    send();
  }
  return state_ == State::kReading;
}

void Connection::answer_request() {
  HttpRequest request = reader_->take_request();
  request.id = request_id(request);
  AnswerStyle style{.errors = match_.errors,
                    .common = cors_headers(context_->options.access, request),
                    .http_1_0 = reader_->http_1_0(),
                    .head = request.method == "HEAD",
                    .keep_alive = reader_->keep_alive() && !context_->draining};
  style.common.add("X-Request-Id", request.id);

  state_ = State::kAnswering;
  ++context_->answering;
  answer_ended_ = false;
  // The last to hold the exchange may outlive the server: what it says then goes nowhere.
  answer_ = std::make_shared<Answer>(
      std::move(style),
      [weak = weak_from_this(), context = context_] {
        asio::post(context->io, [weak] {
          const auto self = weak.lock();
          if (self && self->answer_) self->pull();
        });
      },
      context_->options.limits.unsent_bytes);
  const auto exchange =
      std::make_shared<HttpExchange>(context_, answer_, std::move(request), reader_->take_share());
  reader_.reset();
  if (refusal_) return exchange->fail(refusal_->error, refusal_->extra);
  if (exchange->request().method == "OPTIONS") {
    return exchange->respond(
        204, {}, {},
        {{"Allow", match_.allowed.empty() ? "GET, HEAD, POST, OPTIONS" : match_.allowed}});
  }
  if (match_.route->at_once) return run(match_.route->handler, exchange);
  context_->run_elsewhere([router = router_, route = match_.route, exchange]() mutable {
    run(route->handler, std::move(exchange));
  });
}

// Answers a request that was not read to its end. Its rest is not looked at.
void Connection::refuse(const ApiError& error, const Headers& extra) {
  const HttpRequest& request = reader_->request();
  const std::string id = request_id(request);
  Headers common = cors_headers(context_->options.access, request);
  common.add("X-Request-Id", id);
  const std::string body = match_.errors != nullptr ? match_.errors(error, id) : openai_json(error);
  output_ += response_head({.status = error.status,
                            .content_type = "application/json",
                            .length = body.size(),
                            .keep_alive = false},
                           common, extra);
  if (request.method != "HEAD") output_ += body;
  if (context_->options.on_answered) {
    const std::chrono::duration<double> took = Clock::now() - since_;
    context_->options.on_answered({.id = id,
                                   .method = request.method,
                                   .path = request.path,
                                   .status = error.status,
                                   .seconds = took.count(),
                                   .note = {}});
  }
  linger();
}

void Connection::pull() {
  Answer::Batch batch = answer_->take();
  if (batch.cut) return close();
  if (output_.empty()) {
    output_ = std::move(batch.bytes);
    progress_ = Clock::now();
  } else {
    output_ += batch.bytes;
  }
  answer_ended_ = batch.ended;
  keep_alive_ = batch.keep_alive;
  send();
}

void Connection::send() {
  while (sent_ < output_.size()) {
    error_code error;
    const size_t size =
        socket_.write_some(asio::buffer(output_.data() + sent_, output_.size() - sent_), error);
    if (error && !would_block(error)) return close();
    if (error) break;
    sent_ += size;
    progress_ = Clock::now();
  }
  if (sent_ == output_.size()) {
    std::string().swap(output_);
    sent_ = 0;
  } else if (sent_ >= context_->scratch.size()) {
    output_.erase(0, std::exchange(sent_, 0));
  }
  if (answer_) answer_->set_unsent(output_.size() - sent_);
  if (!output_.empty()) return wait_writable();
  if (state_ == State::kAnswering && answer_ended_) on_answer_sent();
  if (state_ == State::kLingering) {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
}

void Connection::on_answer_sent() {
  answer_.reset();
  --context_->answering;
  if (client_ended_) return close();
  if (!keep_alive_ || context_->draining) return linger();
  state_ = State::kReading;
  first_ = false;
  since_ = Clock::now();
  read_requests();
  wait_readable();
}

// Were it closed at once, with something unread, the client's system might drop what it has not
// read of the answer.
void Connection::linger() {
  state_ = State::kLingering;
  since_ = Clock::now();
  reader_.reset();
  std::string().swap(input_);
  wait_readable();
  send();
}

void Connection::check(Clock::time_point now) {
  const HttpLimits& limits = context_->options.limits;
  if (sent_ < output_.size() && now - progress_ > limits.stall_time) return close();
  const auto waited = now - since_;
  switch (state_) {
    case State::kReading:
      if (!reader_) {
        if (waited > (first_ ? limits.header_time : limits.idle_time)) close();
      } else if (!header_done_) {
        if (waited > limits.header_time) {
          refuse({408, "invalid_request_error", "The request's header came too slowly."});
        }
      } else if (const auto allowed =
                     limits.body_time +
                     std::chrono::seconds(reader_->body_bytes() / limits.body_rate);
                 waited > allowed) {
        refuse({408, "invalid_request_error", "The request's body came too slowly."});
      }
      break;
    case State::kLingering:
      if (waited > limits.linger_time) close();
      break;
    case State::kAnswering:
    case State::kClosed:
      break;
  }
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  state_ = State::kClosed;
  error_code ignored;
  socket_.close(ignored);
  context_->connections.erase(place_);
  context_->open = static_cast<int>(context_->connections.size());
  if (const auto answer = std::exchange(answer_, nullptr)) {
    --context_->answering;
    answer->client_left(true);
  }
  if (context_->on_room) context_->on_room();
}

}  // namespace orthrus::server
