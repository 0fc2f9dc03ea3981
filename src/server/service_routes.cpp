#include "server/service_routes.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/sampling_settings.h"
#include "server/api/error.h"

namespace orthrus::server {
namespace {

using Json = nlohmann::ordered_json;

void respond(Exchange& exchange, int status, const Json& json) {
  exchange.respond(status, "application/json",
                   json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

// For everyone, and at once.
void add_open(Router& router, std::string path, Handler handler) {
  router.add({.method = "GET",
              .path = std::move(path),
              .access = Access::kOpen,
              .at_once = true,
              .handler = std::move(handler)});
}

Json json_of(const GenerateOptions& options) {
  Json json;
  put_sampling_settings(json, options.sampling);
  json["stop"] = options.stop;
  return json;
}

Json names_of_each(const std::vector<DType>& types) {
  Json names = Json::array();
  for (const DType type : types) names.push_back(name_of(type));
  return names;
}

Json properties(const Dispatcher& dispatcher) {
  const ServerInfo& info = dispatcher.info();
  const Engine& engine = dispatcher.engine();
  const ModelConfig& config = engine.config();
  const EngineLoad load = dispatcher.load();
  return {{"model", info.model},
          {"architecture", config.architecture},
          {"chat_format", name_of(info.chat_format)},
          {"context_length", info.context_length},
          {"vocab_size", config.vocab_size},
          {"block_size", config.block_size},  // 0: the model has no diffusion view
          {"defaults", json_of(info.defaults)},
          {"device", name_of(engine.device())},
          {"threads", engine.threads()},
          {"weights", names_of_each(engine.weight_types())},
          {"draft_weights", names_of_each(engine.draft_weight_types())},
          {"max_batch", load.batch},
          {"cache",
           {{"type", name_of(engine.kv_cache())},
            {"pages", load.cache_pages},
            {"page_tokens", kCachePageTokens},
            {"pages_in_use", load.pages_in_use},
            {"cached_pages", load.cached_pages}}},
          {"running", load.running},
          {"waiting", load.waiting},
          {"version", info.version}};
}

}  // namespace

void add_open_routes(Router& router, const std::string& version) {
  add_open(router, "/health", [](const std::shared_ptr<Exchange>& exchange) {
    respond(*exchange, 200, {{"status", "ok"}});
  });
  add_open(router, "/version", [version](const std::shared_ptr<Exchange>& exchange) {
    respond(*exchange, 200, {{"version", version}});
  });
}

void fail_as_loading(const std::shared_ptr<Exchange>& exchange) {
  exchange->fail({503, "server_error", "The model is being loaded.", {}, "loading"},
                 {{"Retry-After", "5"}});
}

void add_service_routes(Router& router, Dispatcher* dispatcher, Metrics* metrics) {
  add_open(router, "/ready", [dispatcher](const std::shared_ptr<Exchange>& exchange) {
    const bool draining = dispatcher->draining();
    respond(*exchange, draining ? 503 : 200, {{"status", draining ? "draining" : "ready"}});
  });
  router.add({.method = "GET",
              .path = "/metrics",
              .access = Access::kOpen,
              .handler = [dispatcher, metrics](const std::shared_ptr<Exchange>& exchange) {
                exchange->respond(200, "text/plain; version=0.0.4; charset=utf-8",
                                  metrics->text(dispatcher->load()));
              }});
  router.add("GET", "/props", [dispatcher](const std::shared_ptr<Exchange>& exchange) {
    respond(*exchange, 200, properties(*dispatcher));
  });
}

}  // namespace orthrus::server
