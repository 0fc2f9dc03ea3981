// What stands behind the method in a request's first line.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace orthrus::server {

struct Target {
  std::string path;   // percent-decoded
  std::string query;  // as it was sent
};

// Of "/path?query", "http://host/path?query" and "*". Nothing where it is something else, or the
// path decodes to control characters.
std::optional<Target> read_target(std::string_view text);

}  // namespace orthrus::server
