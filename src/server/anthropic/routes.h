// Anthropic's Messages API.
#pragma once

#include "server/dispatch.h"
#include "server/http/router.h"

namespace orthrus::server::anthropic {

// POST /v1/messages and /v1/messages/count_tokens, with their errors. `dispatcher` must outlive the
// router, or is null where no handler is to run.
void add_routes(Router& router, Dispatcher* dispatcher);

}  // namespace orthrus::server::anthropic
