#include "server/server.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/anthropic/routes.h"
#include "server/metrics.h"
#include "server/openai/routes.h"
#include "server/service_routes.h"
#include "server/web/routes.h"

namespace orthrus::server {
namespace {

// All of them. While the model is loaded there are no dispatcher and metrics, and a path that there
// will not be, or none by this method, is told as such already.
Router all_routes(const std::string& version, Dispatcher* dispatcher, Metrics* metrics) {
  Router router;
  add_service_routes(router, dispatcher, metrics);
  openai::add_routes(router, dispatcher);
  anthropic::add_routes(router, dispatcher);
  web::add_routes(router);
  if (dispatcher == nullptr) router.answer_all(fail_as_loading);
  add_open_routes(router, version);
  return router;
}

}  // namespace

// Ends from the last to the first: no handler runs once HTTP is gone, and once the dispatcher is
// gone, which waits for all of its own, no callback.
struct Server::Impl {
  Impl(HttpOptions options, const std::string& version)
      : http(std::in_place, std::move(options), all_routes(version, nullptr, nullptr)) {}

  ~Impl() {
    http.reset();
    dispatcher.reset();
    engine.reset();
  }

  std::optional<Metrics> metrics;
  std::optional<Dispatcher> dispatcher;
  std::optional<AsyncEngine> engine;
  std::optional<HttpServer> http;
};

Server::Server(HttpOptions options, const std::string& version)
    : impl_(std::make_unique<Impl>(std::move(options), version)) {}

Server::~Server() = default;

const std::vector<std::string>& Server::addresses() const {
  return impl_->http->addresses();
}

int Server::port() const {
  return impl_->http->port();
}

void Server::start(Engine engine, ServerInfo info, DispatchLimits limits) {
  Impl& impl = *impl_;
  impl.metrics.emplace(info.model, std::max(0, engine.config().block_size - 1));
  impl.engine.emplace(std::move(engine));
  if (const int64_t pages = impl.engine->load().cache_pages; pages > 0) {
    info.cache_limits_context = pages * kCachePageTokens < info.context_length;
    if (info.cache_limits_context) info.context_length = static_cast<int>(pages) * kCachePageTokens;
  }
  impl.dispatcher.emplace(*impl.engine, *impl.metrics, std::move(info), limits);
  impl.http->set_router(
      all_routes(impl.dispatcher->info().version, &*impl.dispatcher, &*impl.metrics));
}

const Dispatcher& Server::dispatcher() const {
  return *impl_->dispatcher;
}

void Server::drain() {
  if (impl_->dispatcher) impl_->dispatcher->drain();
  impl_->http->drain();
}

bool Server::idle() const {
  return impl_->http->answering() == 0 && (!impl_->dispatcher || impl_->dispatcher->idle());
}

void Server::cancel_all() {
  if (impl_->dispatcher) impl_->dispatcher->cancel_all();
}

}  // namespace orthrus::server
