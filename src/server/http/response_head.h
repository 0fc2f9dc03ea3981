// The first lines of an answer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "server/http/headers.h"

namespace orthrus::server {

enum class Framing {
  kLength,   // so many bytes
  kChunked,  // pieces, each with its length before it
  kClose,    // all until the connection is closed: HTTP/1.0's way
  kNone,     // 204 and 304 have no body
};

struct ResponseHead {
  int status = 200;
  std::string_view content_type;  // may be empty
  Framing framing = Framing::kLength;
  size_t length = 0;
  bool keep_alive = true;
  bool http_1_0 = false;
};

// With the empty line behind it. Control characters in the values of fields are left out.
std::string response_head(const ResponseHead& head, const Headers& common, const Headers& extra);

// A piece of a chunked body; the empty one ends it.
std::string chunk(std::string_view piece);

}  // namespace orthrus::server
