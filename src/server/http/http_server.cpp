#include "server/http/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <thread>
#include <utility>

#include "base/thread_for.h"
#include "server/http/connection.h"
#include "server/http/context.h"
#include "server/http/listen.h"

namespace orthrus::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol>;

// How often clients are looked at for slowness; and how long it is left alone where the system
// has no room for another connection.
constexpr std::chrono::milliseconds kTick{100};

int family_of(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length);
  return address.ss_family;
}

bool is_for_want_of_room(error_code error) {
  for (const int known : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    if (error.value() == known) return true;
  }
  return false;
}

}  // namespace

struct HttpServer::Impl {
  Impl(HttpOptions options, Router router)
      : context(std::make_shared<Context>(std::move(options))),
        listening(context->options.unix_socket.empty()
                      ? Listening::on_host(context->options.host, context->options.port)
                      : Listening::on_unix_socket(context->options.unix_socket)),
        workers(context->options.handler_threads) {
    context->router = std::make_shared<const Router>(std::move(router));
    context->set_workers(&workers);
    context->on_room = [this] { accept_again(); };
    for (const int socket : listening.sockets()) {
      // The acceptor closes a socket of its own, at a moment that the event loop chooses.
      const int family = family_of(socket);
      acceptors.emplace_back(context->io, Protocol(family, family == AF_UNIX ? 0 : IPPROTO_TCP),
                             dup(socket));
      acceptors.back().non_blocking(true);
    }
    waiting.resize(acceptors.size());
    accept_again();
    tick();
    loop = thread_for("connections", [this] { run_loop(); });
  }

  ~Impl() {
    asio::post(context->io, [this] {
      stopping = true;
      stop_accepting();
      timer.cancel();
      while (!context->connections.empty()) context->connections.front()->close();
    });
    context->set_workers(nullptr);
    workers.join();
    loop.join();
  }

  void run_loop() {
    // It ends when nothing is left to wait for. What a request breaks, as for want of memory, must
    // not end the others.
    for (;;) {
      try {
        context->io.run();
        return;
      } catch (const std::exception&) {
      }
    }
  }

  void tick() {
    timer.expires_after(kTick);
    timer.async_wait([this](error_code error) {
      if (error || stopping) return;
      const auto now = Connection::Clock::now();
      for (auto it = context->connections.begin(); it != context->connections.end();) {
        const std::shared_ptr<Connection> connection = *it++;
        connection->check(now);
      }
      if (std::exchange(out_of_room, false)) accept_again();
      tick();
    });
  }

  void accept_again() {
    if (out_of_room || context->draining || stopping) return;
    for (size_t i = 0; i < acceptors.size(); ++i) {
      if (waiting[i]) continue;
      waiting[i] = true;
      acceptors[i].async_wait(Acceptor::wait_read, [this, i](error_code error) {
        waiting[i] = false;
        if (!error) accept(i);
      });
    }
  }

  // As many as wait, within reason. Where there are as many as may be, each takes the place of one
  // that is idle; without such, they wait until one is closed.
  void accept(size_t i) {
    for (int count = 0; count < 64; ++count) {
      if (context->draining) return;
      const bool full = context->connections.size() >= context->options.limits.connections;
      const std::shared_ptr<Connection> giving_way = full ? idlest() : nullptr;
      if (full && !giving_way) {
        out_of_room = true;  // one of them may be idle soon
        return;
      }
      Protocol::socket socket(context->io);
      error_code error;
      acceptors[i].accept(socket, error);
      if (is_for_want_of_room(error)) {
        const std::shared_ptr<Connection> idle = idlest();
        if (idle) idle->close();
        out_of_room = !idle;
        break;
      }
      if (error == asio::error::would_block || error == asio::error::try_again) break;
      if (error) continue;  // the client has gone already
      if (giving_way) giving_way->close();
      error_code ignored;
      socket.non_blocking(true, ignored);
      const int on = 1;
      setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Connection::start(context, std::move(socket));
    }
    accept_again();
  }

  std::shared_ptr<Connection> idlest() const {
    std::shared_ptr<Connection> idlest;
    for (const auto& connection : context->connections) {
      if (!connection->may_give_way()) continue;
      if (!idlest || connection->idle_since() < idlest->idle_since()) idlest = connection;
    }
    return idlest;
  }

  void stop_accepting() {
    error_code ignored;
    for (Acceptor& acceptor : acceptors) acceptor.close(ignored);
    listening.close();
  }

  const std::shared_ptr<Context> context;
  Listening listening;
  std::vector<Acceptor> acceptors;
  std::vector<bool> waiting;  // whether each acceptor does
  bool out_of_room = false;
  bool stopping = false;
  asio::steady_timer timer{context->io};
  Workers workers;
  std::thread loop;
};

HttpServer::HttpServer(HttpOptions options, Router router)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router))) {}

HttpServer::~HttpServer() = default;

const std::vector<std::string>& HttpServer::addresses() const {
  return impl_->listening.addresses();
}

int HttpServer::port() const {
  return impl_->listening.port();
}

void HttpServer::set_router(Router router) {
  asio::post(
      impl_->context->io,
      [impl = impl_.get(), router = std::make_shared<const Router>(std::move(router))]() mutable {
        impl->context->router = std::move(router);
      });
}

void HttpServer::drain() {
  impl_->context->draining = true;
  asio::post(impl_->context->io, [impl = impl_.get()] { impl->stop_accepting(); });
}

int HttpServer::answering() const {
  return impl_->context->answering;
}

int HttpServer::connections() const {
  return impl_->context->open;
}

}  // namespace orthrus::server
