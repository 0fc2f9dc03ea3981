// Routes about the server itself: /health, /ready, /version, /metrics, /props.
#pragma once

#include <string>

#include "server/dispatch.h"
#include "server/http/router.h"
#include "server/metrics.h"

namespace orthrus::server {

// While the model is loaded: /health and /version answer, /ready and everything else is a 503.
void add_loading_routes(Router& router, const std::string& version);

void add_service_routes(Router& router, Dispatcher& dispatcher, Metrics& metrics);

}  // namespace orthrus::server
