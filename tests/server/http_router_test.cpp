// Which handler takes which request.
#include <gtest/gtest.h>

#include "server/http/router.h"

namespace orthrus::server {
namespace {

Router router() {
  Router router;
  for (const auto& [method, path] : std::vector<std::pair<std::string, std::string>>{
           {"GET", "/health"}, {"POST", "/v1/things"}, {"GET", "/v1/things"}, {"GET", "/v1/*"}}) {
    router.add(method, path, [](std::shared_ptr<Exchange>) {});
  }
  return router;
}

TEST(Router, TakesTheLongestPathThatMatches) {
  const Router routes = router();
  EXPECT_EQ(routes.find("GET", "/v1/things").route->path, "/v1/things");
  EXPECT_EQ(routes.find("GET", "/v1/others/a/b").route->path, "/v1/*");
  EXPECT_EQ(routes.find("GET", "/v1/").route, nullptr);
  EXPECT_EQ(routes.find("GET", "/v1").route, nullptr);
  EXPECT_EQ(routes.find("GET", "/healthy").route, nullptr);
}

TEST(Router, AnswersHeadByWhatAnswersGet) {
  const Router routes = router();
  EXPECT_EQ(routes.find("HEAD", "/health").route, routes.find("GET", "/health").route);
}

TEST(Router, SaysWhichMethodsAPathHas) {
  const Router routes = router();
  const Router::Match match = routes.find("DELETE", "/v1/things");
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allowed, "POST, GET, HEAD, OPTIONS");
  EXPECT_EQ(routes.find("GET", "/nothing").allowed, "");
}

TEST(Router, KnowsWhoseAPathIsThatItDoesNotHave) {
  Router routes = router();
  const ErrorForm form = [](const ApiError&, std::string_view) { return std::string(); };
  routes.add_errors("/v1/own", form);
  for (const char* const path : {"/v1/own", "/v1/own/x", "//v1/own", "///v1/own/x"}) {
    EXPECT_EQ(routes.find("POST", path).errors, form) << path;
  }
  for (const char* const path : {"/v1/owned", "/v1", "/v1//own", "/x/v1/own"}) {
    EXPECT_EQ(routes.find("POST", path).errors, nullptr) << path;
  }
}

TEST(Router, OneHandlerMayAnswerAll) {
  Router routes = router();
  int asked = 0;
  routes.answer_all([&asked](const std::shared_ptr<Exchange>&) { ++asked; });
  routes.add("GET", "/later", [](const std::shared_ptr<Exchange>&) {});
  for (const char* const path : {"/health", "/v1/things", "/later"}) {
    routes.find("GET", path).route->handler(nullptr);
  }
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(routes.find("GET", "/nothing").route, nullptr);
}

TEST(Headers, AreFoundWhateverTheCaseOfTheirLetters) {
  const Headers headers{{"Content-Type", "text/plain"}, {"X-A", "1"}, {"x-a", "2"}};
  EXPECT_EQ(headers.find("content-type"), "text/plain");
  EXPECT_EQ(headers.find("X-a"), "1");
  EXPECT_EQ(headers.find("X-B"), std::nullopt);
}

}  // namespace
}  // namespace orthrus::server
