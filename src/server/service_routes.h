// Routes about the server itself: /health, /ready, /version, /metrics, /props.
#pragma once

#include <memory>
#include <string>

#include "server/dispatch.h"
#include "server/http/router.h"
#include "server/metrics.h"

namespace orthrus::server {

// Those that answer whether there is a model or not: /health and /version.
void add_open_routes(Router& router, const std::string& version);

// /ready, /metrics and /props. What is given must outlive the router, or is null where no handler
// is to run.
void add_service_routes(Router& router, Dispatcher* dispatcher, Metrics* metrics);

// What answers in place of them, and of all else, while the model is loaded: a 503.
void fail_as_loading(const std::shared_ptr<Exchange>& exchange);

}  // namespace orthrus::server
