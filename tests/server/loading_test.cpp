// A server whose model is being loaded.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/http_client.h"
#include "server/server.h"

namespace orthrus::server {
namespace {

using test::ask;

TEST(Loading, OnlyWhatIsThereLaterIsToBeAskedAgain) {
  const Server server(HttpOptions{}, "1.2.3");
  const int port = server.port();
  EXPECT_EQ(ask(port, "GET", "/health").status, 200);
  EXPECT_EQ(ask(port, "GET", "/version").body, R"({"version":"1.2.3"})");
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"GET", "/ready"},
                                                        {"GET", "/props"},
                                                        {"GET", "/v1/models"},
                                                        {"GET", "/v1/models/any"},
                                                        {"POST", "/v1/chat/completions"},
                                                        {"POST", "/v1/messages"},
                                                        {"GET", "/"}}) {
    const test::HttpResponse answer = ask(port, method, path, method == "POST" ? "{}" : "");
    EXPECT_EQ(answer.status, 503) << path;
    EXPECT_EQ(answer.fields.at("retry-after"), "5") << path;
    EXPECT_NE(answer.body.find("The model is being loaded."), std::string::npos) << answer.body;
  }
  EXPECT_EQ(ask(port, "GET", "/v1/nothing").status, 404);
  EXPECT_EQ(ask(port, "POST", "/nothing", "{}").status, 404);
  EXPECT_EQ(ask(port, "DELETE", "/v1/models").status, 405);
  EXPECT_EQ(ask(port, "GET", "/v1/completions").status, 405);
  EXPECT_EQ(ask(port, "POST", "/health", "{}").status, 405);
}

TEST(Loading, ErrorsAreInTheFormOfTheirPath) {
  const Server server(HttpOptions{}, "");
  for (const char* const path : {"/v1/messages", "//v1/messages", "/v1/messages/batches"}) {
    const auto json = nlohmann::json::parse(ask(server.port(), "POST", path, "{}").body);
    EXPECT_EQ(json["type"], "error") << path;
  }
  EXPECT_FALSE(nlohmann::json::parse(ask(server.port(), "POST", "/v1/completions", "{}").body)
                   .contains("type"));
}

TEST(Loading, AKeyIsAskedForAlready) {
  HttpOptions options;
  options.access.api_keys = {"secret"};
  const Server server(std::move(options), "");
  EXPECT_EQ(ask(server.port(), "GET", "/v1/models").status, 401);
  EXPECT_EQ(ask(server.port(), "GET", "/v1/models", "", "X-API-Key: secret\r\n").status, 503);
  EXPECT_EQ(ask(server.port(), "GET", "/ready").status, 503);
}

}  // namespace
}  // namespace orthrus::server
