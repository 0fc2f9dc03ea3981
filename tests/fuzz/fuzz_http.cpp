// What comes over a connection: requests, one behind the other. The first byte says in pieces of
// which size it comes, and what is read must not depend on it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/request_reader.h"

namespace {

using namespace orthrus::server;

struct Read {
  std::string method, path, query, body;
  bool keep_alive;

  bool operator==(const Read&) const = default;
};

std::vector<Read> read(std::string_view bytes, size_t piece) {
  HttpLimits limits;
  limits.header_bytes = 1000;
  limits.body_bytes = 500;
  const auto memory = std::make_shared<BodyMemory>(400);
  std::vector<Read> requests;
  std::string input;
  auto reader = std::make_unique<RequestReader>(limits, memory);
  while (!bytes.empty()) {
    input += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (bool more = true; more;) {
      std::string_view rest = input;
      const RequestReader::Progress progress = reader->put(rest);
      input.erase(0, input.size() - rest.size());
      switch (progress) {
        case RequestReader::Progress::kMore:
          more = false;
          break;
        case RequestReader::Progress::kHeader:
          break;
        case RequestReader::Progress::kBad: {
          const BadRequest& problem = reader->problem();
          if (problem.status < 400 || problem.status > 505 || problem.message.empty()) abort();
          return requests;
        }
        case RequestReader::Progress::kDone: {
          const bool keep_alive = reader->keep_alive();
          HttpRequest request = reader->take_request();
          if (request.method.empty() || request.path.empty() || request.body.size() > 400) abort();
          requests.push_back({std::move(request.method), std::move(request.path),
                              std::move(request.query), std::move(request.body), keep_alive});
          reader = std::make_unique<RequestReader>(limits, memory);
        }
      }
    }
  }
  return requests;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(input) + 1, size - 1);
  if (read(bytes, bytes.size() + 1) != read(bytes, input[0] % 64 + 1)) abort();
  return 0;
}
