// OpenAI's API, and what others have added to it: which paths there are.
#pragma once

#include "server/dispatch.h"
#include "server/http/router.h"

namespace orthrus::server::openai {

// POST /v1/chat/completions, /v1/completions, /tokenize, /detokenize; GET /v1/models,
// /v1/models/{id}, /tokenizer_info, /openapi.json. `dispatcher` must outlive the router, or is null
// where no handler is to run.
void add_routes(Router& router, Dispatcher* dispatcher);

}  // namespace orthrus::server::openai
