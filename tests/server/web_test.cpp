// The page's files as they are served.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "server/api/error.h"
#include "server/web/page_files.h"
#include "server/web/routes.h"

namespace orthrus::server::web {
namespace {

// Keeps what it is answered.
class Asked : public Exchange {
 public:
  Asked(std::string path, Headers headers) {
    request_.method = "GET";
    request_.path = std::move(path);
    request_.headers = std::move(headers);
  }
  const HttpRequest& request() const override { return request_; }
  std::string take_body() override { return {}; }
  void respond(int status, std::string_view content_type, std::string body,
               Headers extra) override {
    this->status = status;
    type = content_type;
    this->body = std::move(body);
    headers = std::move(extra);
  }
  void fail(const ApiError& error, Headers) override { status = error.status; }
  void begin_stream(int, std::string_view, Headers) override {}
  void write(std::string) override {}
  void end() override {}
  void on_close(std::function<void()>) override {}
  void run_elsewhere(std::function<void()> work) override { work(); }
  void note(std::string) override {}

  int status = 0;
  std::string type, body;
  Headers headers;

 private:
  HttpRequest request_;
};

std::shared_ptr<Asked> get(const std::string& path, Headers headers = {}) {
  Router router;
  add_routes(router);
  auto asked = std::make_shared<Asked>(path, std::move(headers));
  const Router::Match match = router.find("GET", path);
  if (match.route != nullptr) match.route->handler(asked);
  return asked;
}

TEST(Page, IsServedByteForByte) {
  namespace fs = std::filesystem;
  int files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(ORTHRUS_PAGE)) {
    const std::string name = entry.path().filename();
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    const auto answer = get(name == "index.html" ? "/" : "/" + name);
    EXPECT_EQ(answer->status, 200) << name;
    EXPECT_EQ(answer->body, bytes) << name;
    ++files;
  }
  EXPECT_EQ(files, int(page_files().size()));
}

TEST(Page, HasTheTypesThatBrowsersInsistOn) {
  EXPECT_EQ(get("/")->type, "text/html; charset=utf-8");
  EXPECT_EQ(get("/app.js")->type, "text/javascript; charset=utf-8");
  EXPECT_EQ(get("/style.css")->type, "text/css; charset=utf-8");
  EXPECT_EQ(get("/favicon.svg")->type, "image/svg+xml; charset=utf-8");
}

TEST(Page, ServesNothingElse) {
  EXPECT_EQ(get("/index.htm")->status, 0);
  EXPECT_EQ(get("/../web/app.js")->status, 0);
  EXPECT_EQ(get("/app.js/")->status, 0);
}

TEST(Page, IsNotSentAgainToThoseWhoHaveIt) {
  const std::string etag(get("/app.js")->headers.find("ETag").value());
  EXPECT_NE(etag, get("/style.css")->headers.find("ETag"));
  for (const std::string& given : {etag, "W/" + etag, "\"other\", " + etag, std::string("*")}) {
    const auto answer = get("/app.js", {{"If-None-Match", given}});
    EXPECT_EQ(answer->status, 304) << given;
    EXPECT_EQ(answer->body, "");
    EXPECT_EQ(answer->headers.find("ETag"), etag);
  }
  EXPECT_EQ(get("/app.js", {{"If-None-Match", "\"other\""}})->status, 200);
}

TEST(Page, LetsNothingInFromElsewhere) {
  for (const char* path : {"/", "/app.js"}) {
    const auto answer = get(path);
    const std::string policy(answer->headers.find("Content-Security-Policy").value());
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    for (const char* rule : {"default-src 'none'", "script-src 'self'", "style-src 'self'",
                             "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
                             "frame-ancestors 'none'", "require-trusted-types-for 'script'"}) {
      EXPECT_NE(policy.find(rule), std::string::npos) << rule;
    }
    EXPECT_EQ(answer->headers.find("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(answer->headers.find("Referrer-Policy"), "no-referrer");
    EXPECT_EQ(answer->headers.find("Cache-Control"), "no-cache");
  }
}

// The markup has no scripts, styles and listeners of its own; the policy would not let them run.
TEST(Page, HasOnlyFilesOfItsOwn) {
  for (const PageFile& file : page_files()) {
    EXPECT_EQ(file.bytes.find("innerHTML"), std::string_view::npos) << file.name;
    if (file.name != "index.html") continue;
    EXPECT_EQ(file.bytes.find("style="), std::string_view::npos);
    EXPECT_EQ(file.bytes.find("onclick="), std::string_view::npos);
    EXPECT_EQ(file.bytes.find("http"), std::string_view::npos);
  }
}

}  // namespace
}  // namespace orthrus::server::web
