#include "server/web/routes.h"

#include <memory>
#include <string>

#include "server/web/page_files.h"

namespace orthrus::server::web {
namespace {

// Nothing comes from elsewhere, nothing goes elsewhere, and no text can become a script: browsers
// that know trusted types refuse to make markup of strings at all.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

// Whether If-None-Match names the entity tag: in a list, weak ("W/") or not, or as "*".
bool has_tag(std::string_view list, std::string_view etag) {
  return list == "*" || list.find(etag) != std::string_view::npos;
}

void answer(Exchange& exchange, const PageFile& file) {
  // Browsers keep the files, and ask each time whether they still hold: a new program shows at
  // once.
  const Headers headers{{"ETag", std::string(file.etag)},
                        {"Cache-Control", "no-cache"},
                        {"Content-Security-Policy", kPolicy},
                        {"X-Content-Type-Options", "nosniff"},
                        {"Referrer-Policy", "no-referrer"}};
  const auto known = exchange.request().headers.find("If-None-Match");
  if (known && has_tag(*known, file.etag)) {
    exchange.respond(304, "", "", headers);
  } else {
    exchange.respond(200, file.type, std::string(file.bytes), headers);
  }
}

}  // namespace

void add_routes(Router& router) {
  for (const PageFile& file : page_files()) {
    const bool index = file.name == "index.html";
    router.add(
        {.method = "GET",
         .path = std::string("/").append(index ? "" : file.name),
         .access = Access::kOpen,
         .at_once = true,
         .handler = [&file](std::shared_ptr<Exchange> exchange) { answer(*exchange, file); }});
  }
}

}  // namespace orthrus::server::web
