// The page at "/": chat with the model in a browser, and see what each forward pass gave.
#pragma once

#include "server/http/router.h"

namespace orthrus::server::web {

// index.html at "/", the other files of web/ beside it, open to everyone: what they ask the API for
// carries the key that the user gives them.
void add_routes(Router& router);

}  // namespace orthrus::server::web
