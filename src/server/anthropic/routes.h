// Anthropic's Messages API.
#pragma once

#include "server/dispatch.h"
#include "server/http/router.h"

namespace orthrus::server::anthropic {

// How errors look at the paths that are Anthropic's alone, those that are not served among them.
void add_errors(Router& router);

// POST /v1/messages and /v1/messages/count_tokens, with their errors. `dispatcher` must outlive the
// router.
void add_routes(Router& router, Dispatcher& dispatcher);

}  // namespace orthrus::server::anthropic
