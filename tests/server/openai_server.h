// OpenAI's handlers with tiny-code, without sockets.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "orthrus/engine.h"
#include "server/api/error.h"
#include "server/api/fields.h"
#include "server/dispatch.h"
#include "server/fake_exchange.h"
#include "server/http/router.h"
#include "server/metrics.h"
#include "server/openai/routes.h"

namespace orthrus::server::test {

// The pieces of a stream: the objects of its data lines. The last line must be [DONE].
inline std::vector<Json> pieces_of(const std::string& stream) {
  std::vector<Json> pieces;
  bool ended = false;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    EXPECT_NE(end, stream.npos) << stream.substr(at);
    if (end == stream.npos) break;
    const std::string line = stream.substr(at, end - at);
    at = end + 2;
    EXPECT_TRUE(line.starts_with("data: ")) << line;
    EXPECT_FALSE(ended) << line;
    ended = line == "data: [DONE]";
    if (!ended) pieces.push_back(Json::parse(line.substr(6)));
  }
  EXPECT_TRUE(ended) << stream;
  return pieces;
}

class OpenAiServer {
 public:
  // The model has no chat template of its own.
  explicit OpenAiServer(ChatFormat format = ChatFormat::kQwen25, DispatchLimits limits = {})
      : engine_(Engine::load(ORTHRUS_MODELS "/tiny-code", {.threads = 2})),
        metrics_("tiny-code", engine_.engine().config().block_size - 1),
        dispatcher_(engine_, metrics_, info_of(engine_.engine(), format), limits) {
    openai::add_routes(router_, &dispatcher_);
  }

  const Engine& engine() const { return engine_.engine(); }
  const ServerInfo& info() const { return dispatcher_.info(); }

  FakeExchange::Answer send(const std::string& method, const std::string& path,
                            const std::string& body = "") {
    const auto exchange = std::make_shared<FakeExchange>(request_of(method, path, body));
    const Router::Match match = router_.find(method, path);
    if (match.route == nullptr) {
      ADD_FAILURE() << "no route " << method << " " << path;
      return {};
    }
    try {
      match.route->handler(exchange);
    } catch (const std::exception& error) {
      exchange->fail(as_api_error(error), {});
    }
    return exchange->wait();
  }

  // What must be there with 200.
  Json post(const std::string& path, const std::string& body) {
    const FakeExchange::Answer answer = send("POST", path, body);
    EXPECT_EQ(answer.status, 200) << body << "\n" << answer.body;
    return Json::parse(answer.body);
  }
  std::vector<Json> stream(const std::string& path, Json body) {
    body["stream"] = true;
    const FakeExchange::Answer answer = send("POST", path, body.dump());
    EXPECT_EQ(answer.status, 200) << body << "\n" << answer.body;
    return pieces_of(answer.body);
  }

 private:
  static ServerInfo info_of(const Engine& engine, ChatFormat format) {
    ServerInfo info{.model = "tiny-code",
                    .version = "0.1.0",
                    .started = 1,
                    .chat_format = format,
                    .defaults = {},
                    .context_length = engine.config().max_position_embeddings};
    info.defaults.sampling = engine.config().generation;
    info.defaults.stop = engine.config().stop_strings;
    return info;
  }

  AsyncEngine engine_;
  Metrics metrics_;
  Dispatcher dispatcher_;
  Router router_;
};

// One for all tests of a program: loading takes a second.
inline OpenAiServer& server() {
  static OpenAiServer server;
  return server;
}

}  // namespace orthrus::server::test
