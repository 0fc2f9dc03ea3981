// HTTP as polite clients speak it.
#include "server/http/http_server.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "orthrus/error.h"
#include "server/api/error.h"
#include "server/http_client.h"
#include "support/no_threads.h"

namespace orthrus::server {
namespace {

using test::ask;
using test::http_request;
using test::HttpClient;
using test::HttpResponse;

Router router() {
  Router router;
  router.add("GET", "/hello", [](std::shared_ptr<Exchange> exchange) {
    exchange->respond(200, "text/plain", "hello", {{"X-Extra", "1"}});
  });
  router.add("POST", "/echo", [](std::shared_ptr<Exchange> exchange) {
    exchange->respond(200, "application/octet-stream", exchange->request().body);
  });
  router.add("GET", "/pieces", [](std::shared_ptr<Exchange> exchange) {
    exchange->begin_stream(200, "text/event-stream");
    for (int i = 0; i < 100; ++i) exchange->write(fmt::format("data: {}\n\n", i));
    exchange->write("");
    exchange->end();
    exchange->write("nothing of this");
  });
  router.add("GET", "/wrong", [](std::shared_ptr<Exchange>) {
    throw invalid_request("top_p is 2; valid is a number up to 1.", "top_p");
  });
  router.add("GET", "/broken",
             [](std::shared_ptr<Exchange>) { throw std::runtime_error("it broke"); });
  router.add("GET", "/elsewhere", [](std::shared_ptr<Exchange> exchange) {
    exchange->run_elsewhere([exchange] { exchange->respond(200, "text/plain", "elsewhere"); });
  });
  router.add("GET", "/broken-elsewhere", [](std::shared_ptr<Exchange> exchange) {
    exchange->run_elsewhere([] { throw std::runtime_error("it broke"); });
  });
  router.add("GET", "/dropped", [](std::shared_ptr<Exchange>) {});
  router.add("GET", "/half", [](std::shared_ptr<Exchange> exchange) {
    exchange->begin_stream(200, "text/plain");
    exchange->write("half");
  });
  router.add("GET", "/about", [](std::shared_ptr<Exchange> exchange) {
    const HttpRequest& request = exchange->request();
    exchange->respond(200, "text/plain",
                      fmt::format("{} {} {} {}", request.method, request.path, request.query,
                                  request.headers.find("x-thing").value_or("none")));
  });
  router.add("GET", "/files/*", [](std::shared_ptr<Exchange> exchange) {
    exchange->respond(200, "text/plain", exchange->request().path);
  });
  const ErrorForm own_form = [](const ApiError& error, std::string_view) {
    return "own form: " + error.message;
  };
  for (const char* const path : {"/own", "/open"}) router.add_errors(path, own_form);
  router.add({.method = "POST", .path = "/own", .handler = [](std::shared_ptr<Exchange>) {}});
  router.add({.method = "GET",
              .path = "/open",
              .access = Access::kOpen,
              .at_once = true,
              .handler = [](std::shared_ptr<Exchange> exchange) {
                exchange->respond(200, "text/plain", "open");
              }});
  return router;
}

std::string error_message(const HttpResponse& response) {
  return nlohmann::json::parse(response.body).at("error").at("message");
}

TEST(HttpServer, AnswersWithWhatTheHandlerSays) {
  const HttpServer server({}, router());
  const HttpResponse response = ask(server.port(), "GET", "/hello");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "hello");
  EXPECT_EQ(response.fields.at("content-type"), "text/plain");
  EXPECT_EQ(response.fields.at("content-length"), "5");
  EXPECT_EQ(response.fields.at("x-extra"), "1");
  EXPECT_TRUE(response.fields.contains("date"));
  EXPECT_EQ(ask(server.port(), "GET", "/open").body, "open");
  ASSERT_EQ(server.addresses().size(), 1u);
  EXPECT_EQ(server.addresses()[0], fmt::format("http://127.0.0.1:{}", server.port()));
}

TEST(HttpServer, KeepsAConnectionForMoreRequests) {
  const HttpServer server({}, router());
  HttpClient client(server.port());
  for (int i = 0; i < 5; ++i) {
    client.send(http_request("POST", "/echo", fmt::format("body {}", i)));
    const auto response = client.read_response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->body, fmt::format("body {}", i));
  }
  client.send(http_request("GET", "/hello", "", "Connection: close\r\n"));
  EXPECT_EQ(client.read_response()->fields.at("connection"), "close");
  EXPECT_EQ(client.read_some(), "");
}

TEST(HttpServer, AnswersPipelinedRequestsInTheirOrder) {
  const HttpServer server({}, router());
  HttpClient client(server.port());
  std::string requests;
  for (int i = 0; i < 500; ++i) {
    requests += i % 3 == 0 ? http_request("GET", "/open")
                           : http_request("POST", "/echo", std::to_string(i));
  }
  client.send(requests);
  for (int i = 0; i < 500; ++i) {
    const auto response = client.read_response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->body, i % 3 == 0 ? "open" : std::to_string(i));
  }
}

TEST(HttpServer, StreamsPiecesAsChunks) {
  const HttpServer server({}, router());
  HttpClient client(server.port());
  client.send(http_request("GET", "/pieces"));
  const auto response = client.read_response();
  ASSERT_TRUE(response);
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += fmt::format("data: {}\n\n", i);
  EXPECT_EQ(response->body, expected);
  EXPECT_EQ(response->fields.at("transfer-encoding"), "chunked");
  client.send(http_request("GET", "/hello"));  // the connection goes on
  EXPECT_EQ(client.read_response()->body, "hello");
}

TEST(HttpServer, SendsEachPieceAtOnce) {
  std::mutex mutex;
  std::condition_variable changed;
  int read = 0;
  Router router;
  router.add("GET", "/slowly", [&](std::shared_ptr<Exchange> exchange) {
    exchange->begin_stream(200, "text/event-stream");
    for (int i = 1; i <= 3; ++i) {
      exchange->write(fmt::format("data: {}\n\n", i));
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return read >= i; });
    }
    exchange->end();
  });
  const HttpServer server({}, std::move(router));
  HttpClient client(server.port());
  client.send(http_request("GET", "/slowly"));
  std::string all;
  for (int i = 1; i <= 3; ++i) {
    while (all.find(fmt::format("data: {}\n\n", i)) == std::string::npos) all += client.read_some();
    const std::lock_guard lock(mutex);
    read = i;
    changed.notify_all();
  }
}

TEST(HttpServer, SpeaksHttp10) {
  const HttpServer server({}, router());
  HttpClient client(server.port());
  client.send("GET /hello HTTP/1.0\r\n\r\n");
  const std::string all = client.read_all();
  EXPECT_TRUE(all.starts_with("HTTP/1.1 200 ")) << all;
  EXPECT_TRUE(all.ends_with("\r\n\r\nhello")) << all;

  HttpClient streaming(server.port());
  streaming.send("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string pieces = streaming.read_all();
  EXPECT_EQ(pieces.find("chunked"), std::string::npos);
  EXPECT_TRUE(pieces.ends_with("data: 98\n\ndata: 99\n\n"));

  HttpClient kept(server.port());
  for (int i = 0; i < 2; ++i) {
    kept.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const auto response = kept.read_response();
    ASSERT_TRUE(response);
    EXPECT_EQ(response->fields.at("connection"), "keep-alive");
  }
}

TEST(HttpServer, AnswersHeadWithoutTheBody) {
  const HttpServer server({}, router());
  HttpClient client(server.port());
  for (const char* path : {"/hello", "/pieces", "/nothing"}) {
    client.send(http_request("HEAD", path));
    const auto response = client.read_response(true);
    ASSERT_TRUE(response) << path;
    EXPECT_EQ(response->status, std::string(path) == "/nothing" ? 404 : 200);
  }
  client.send(http_request("GET", "/hello"));
  EXPECT_EQ(client.read_response()->body, "hello");
}

TEST(HttpServer, SaysWhatAPathTakes) {
  const HttpServer server({}, router());
  EXPECT_EQ(ask(server.port(), "OPTIONS", "/hello").fields.at("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(ask(server.port(), "OPTIONS", "*").status, 204);
  EXPECT_EQ(ask(server.port(), "OPTIONS", "/nothing").status, 404);
  const HttpResponse response = ask(server.port(), "POST", "/hello");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.fields.at("allow"), "GET, HEAD, OPTIONS");
  EXPECT_EQ(error_message(response), "\"/hello\" is asked by GET, HEAD, OPTIONS, not \"POST\".");
  const HttpResponse nothing = ask(server.port(), "GET", "/nothing");
  EXPECT_EQ(nothing.status, 404);
  EXPECT_EQ(error_message(nothing), "There is no \"/nothing\".");
  EXPECT_EQ(ask(server.port(), "POST", "/open").body,
            "own form: \"/open\" is asked by GET, HEAD, OPTIONS, not \"POST\".");
  for (const char* const path : {"/own/nothing", "/own/", "/open/a/b"}) {
    const HttpResponse below = ask(server.port(), "GET", path);
    EXPECT_EQ(below.status, 404);
    EXPECT_EQ(below.body, fmt::format("own form: There is no \"{}\".", path));
  }
  for (const char* const target : {"/own/%zz", "/own/%00", "/open/%4?a"}) {
    const HttpResponse below = ask(server.port(), "GET", target);
    EXPECT_EQ(below.status, 400) << target;
    EXPECT_EQ(below.body, "own form: The request's target is not a path with percent-encoding.");
  }
  EXPECT_EQ(error_message(ask(server.port(), "GET", "/owner")), "There is no \"/owner\".");
}

TEST(HttpServer, AsksForABodyThatWaitsForIt) {
  const HttpServer server({}, router());
  HttpClient client(server.port());
  const std::string all = http_request("POST", "/echo", "body", "Expect: 100-continue\r\n");
  client.send(all.substr(0, all.size() - 4));
  EXPECT_EQ(client.read_response()->status, 100);
  client.send("body");
  EXPECT_EQ(client.read_response()->body, "body");
  // What will not be done needs no body.
  HttpClient refused(server.port());
  refused.send(
      "POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(refused.read_response()->status, 404);
}

TEST(HttpServer, TakesBodiesInChunks) {
  const HttpServer server({}, router());
  HttpClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello");
  client.send("\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(client.read_response()->body, "hello world");
  client.send(http_request("GET", "/hello"));
  EXPECT_EQ(client.read_response()->body, "hello");
}

TEST(HttpServer, TakesAndGivesLargeBodies) {
  const HttpServer server({}, router());
  std::string body(20 << 20, 'x');
  for (size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>(i / 1000);
  HttpClient client(server.port());
  std::thread sender([&] { client.send(http_request("POST", "/echo", body)); });
  const auto response = client.read_response();
  sender.join();
  ASSERT_TRUE(response);
  EXPECT_TRUE(response->body == body);
}

TEST(HttpServer, GivesTargetsToHandlersAsPathAndQuery) {
  const HttpServer server({}, router());
  EXPECT_EQ(ask(server.port(), "GET", "/ab%6fut?a=%20b", "", "X-Thing: it\r\n").body,
            "GET /about a=%20b it");
  EXPECT_EQ(ask(server.port(), "GET", "http://host:80/about?q").body, "GET /about q none");
  EXPECT_EQ(ask(server.port(), "GET", "/files/a/b%2Fc").body, "/files/a/b/c");
}

TEST(HttpServer, AnswersWhatHandlersThrow) {
  const HttpServer server({}, router());
  const HttpResponse wrong = ask(server.port(), "GET", "/wrong");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(nlohmann::json::parse(wrong.body)["error"]["param"], "top_p");
  const HttpResponse broken = ask(server.port(), "GET", "/broken");
  EXPECT_EQ(broken.status, 500);
  EXPECT_EQ(error_message(broken), "it broke");
  EXPECT_EQ(ask(server.port(), "GET", "/elsewhere").body, "elsewhere");
  EXPECT_EQ(error_message(ask(server.port(), "GET", "/broken-elsewhere")), "it broke");
  EXPECT_EQ(ask(server.port(), "GET", "/dropped").status, 500);
  // A stream that nobody goes on with is cut, not ended.
  HttpClient client(server.port());
  client.send(http_request("GET", "/half"));
  EXPECT_FALSE(client.read_response());
}

TEST(HttpServer, EchoesAnIdOrMakesOne) {
  const HttpServer server({}, router());
  const auto id_for = [&](const std::string& fields) {
    return ask(server.port(), "GET", "/hello", "", fields).fields.at("x-request-id");
  };
  EXPECT_EQ(id_for("X-Request-ID: my-id/1\r\n"), "my-id/1");
  EXPECT_EQ(id_for("").size(), 32u);
  EXPECT_NE(id_for(""), id_for(""));
  EXPECT_EQ(id_for("X-Request-Id: with space\r\n").size(), 32u);
  EXPECT_EQ(id_for("X-Request-Id: " + std::string(129, 'a') + "\r\n").size(), 32u);
}

TEST(HttpServer, WantsAKeyWhereItHasOne) {
  HttpOptions options;
  options.access.api_keys = {"first", "second"};
  const HttpServer server(options, router());
  const auto status = [&](const char* path, const std::string& fields) {
    return ask(server.port(), "GET", path, "", fields).status;
  };
  EXPECT_EQ(status("/hello", ""), 401);
  EXPECT_EQ(status("/hello", "Authorization: Bearer second\r\n"), 200);
  EXPECT_EQ(status("/hello", "authorization: bearer first\r\n"), 200);
  EXPECT_EQ(status("/hello", "X-Api-Key: first\r\n"), 200);
  for (const char* wrong : {"firs", "first1", "", "First", "firstsecond"}) {
    EXPECT_EQ(status("/hello", fmt::format("Authorization: Bearer {}\r\n", wrong)), 401) << wrong;
    EXPECT_EQ(status("/hello", fmt::format("X-API-Key: {}\r\n", wrong)), 401) << wrong;
  }
  EXPECT_EQ(status("/hello", "Authorization: Basic first\r\n"), 401);
  EXPECT_EQ(status("/open", ""), 200);
  EXPECT_EQ(ask(server.port(), "OPTIONS", "/hello").status, 204);
  // A body is not read for it.
  HttpClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_EQ(client.read_response()->status, 401);
}

TEST(HttpServer, LetsPagesOfTheGivenOriginsAsk) {
  HttpOptions options;
  options.access.cors_origins = {"https://a.example"};
  const HttpServer server(options, router());
  const HttpResponse one = ask(server.port(), "GET", "/hello", "", "Origin: https://a.example\r\n");
  EXPECT_EQ(one.fields.at("access-control-allow-origin"), "https://a.example");
  EXPECT_EQ(one.fields.at("vary"), "Origin");
  const HttpResponse other = ask(server.port(), "GET", "/hello", "", "Origin: https://b\r\n");
  EXPECT_FALSE(other.fields.contains("access-control-allow-origin"));
  const HttpResponse before =
      ask(server.port(), "OPTIONS", "/echo", "",
          "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
          "Access-Control-Request-Headers: authorization, content-type\r\n");
  EXPECT_EQ(before.status, 204);
  EXPECT_EQ(before.fields.at("access-control-allow-headers"), "authorization, content-type");
  EXPECT_TRUE(before.fields.contains("access-control-allow-methods"));
}

TEST(HttpServer, RecordsEachExchange) {
  std::mutex mutex;
  std::vector<HttpRecord> records;
  HttpOptions options;
  options.on_answered = [&](const HttpRecord& record) {
    const std::lock_guard lock(mutex);
    records.push_back(record);
  };
  Router routes = router();
  routes.add("GET", "/noted", [](std::shared_ptr<Exchange> exchange) {
    exchange->note("tokens=3");
    exchange->respond(200, "text/plain", "");
  });
  {
    const HttpServer server(options, std::move(routes));
    ask(server.port(), "GET", "/noted", "", "X-Request-Id: one\r\n");
    ask(server.port(), "GET", "/nothing", "", "X-Request-Id: two\r\n");
  }
  ASSERT_EQ(records.size(), 2u);
  std::ranges::sort(records, {}, &HttpRecord::id);  // one is made when its handler has returned
  EXPECT_EQ(records[0].id, "one");
  EXPECT_EQ(records[0].status, 200);
  EXPECT_EQ(records[0].note, "tokens=3");
  EXPECT_EQ(records[1].id, "two");
  EXPECT_EQ(records[1].status, 404);
}

TEST(HttpServer, RefusesInTheFormOfThePathWhatItDoesNotReadToItsEnd) {
  std::mutex mutex;
  std::vector<HttpRecord> records;
  HttpOptions options;
  options.limits.body_bytes = 1000;
  options.access.cors_origins = {"*"};
  options.on_answered = [&](const HttpRecord& record) {
    const std::lock_guard lock(mutex);
    records.push_back(record);
  };
  {
    const HttpServer server(options, router());
    const std::string head = "POST /own HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nX-Request-Id: me\r\n";
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"Content-Length: 1001\r\n\r\n", "own form: The request's body is longer than 1000 bytes."},
        {"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + std::string(4095, 'x'),
         "own form: The request's body is longer than 1000 bytes."},
        {"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
         "own form: Bodies are taken without a content encoding."},
        {"Transfer-Encoding: gzip\r\n\r\n", "own form: The only transfer encoding is chunked."},
    };
    for (const auto& [rest, body] : cases) {
      HttpClient client(server.port());
      client.send(head + rest);
      const auto response = client.read_response();
      ASSERT_TRUE(response) << body;
      EXPECT_EQ(response->body, body);
      EXPECT_EQ(response->fields.at("x-request-id"), "me") << body;
      EXPECT_EQ(response->fields.at("access-control-allow-origin"), "*") << body;
    }
  }
  ASSERT_EQ(records.size(), 4u);
  for (const HttpRecord& record : records) {
    EXPECT_EQ(record.method, "POST") << record.status;
    EXPECT_EQ(record.path, "/own") << record.status;
  }
}

TEST(HttpServer, AnotherRouterTakesTheNextRequests) {
  Router before;
  before.add("GET", "/hello", [](std::shared_ptr<Exchange> exchange) {
    exchange->respond(503, "text/plain", "not yet");
  });
  HttpServer server({}, std::move(before));
  HttpClient client(server.port());
  client.send(http_request("GET", "/hello"));
  EXPECT_EQ(client.read_response()->status, 503);
  server.set_router(router());
  client.send(http_request("GET", "/hello"));
  EXPECT_EQ(client.read_response()->status, 200);
}

TEST(HttpServer, FinishesWhatItAnswersWhenItDrains) {
  std::mutex mutex;
  std::shared_ptr<Exchange> held;
  std::condition_variable changed;
  Router routes = router();
  routes.add("GET", "/held", [&](std::shared_ptr<Exchange> exchange) {
    const std::lock_guard lock(mutex);
    held = std::move(exchange);
    changed.notify_all();
  });
  HttpServer server({}, std::move(routes));
  HttpClient client(server.port());
  HttpClient other(server.port());
  other.send(http_request("GET", "/hello"));
  other.read_response();
  client.send(http_request("GET", "/held"));
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return held != nullptr; });
  server.drain();
  EXPECT_EQ(server.answering(), 1);
  other.send(http_request("GET", "/hello"));  // a connection that there is, is still answered
  const auto last = other.read_response();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->status, 200);
  EXPECT_EQ(other.read_some(), "");
  EXPECT_THROW(HttpClient(server.port()), std::runtime_error);
  held->respond(200, "text/plain", "done");
  EXPECT_EQ(client.read_response()->body, "done");
  EXPECT_EQ(client.read_some(), "");
}

// It ends, and does not wait for those that were made.
[[noreturn]] void serve_with_threads(rlim_t count) {
  alarm(60);
  test::allow_threads(count);
  try {
    const HttpServer server({}, router());
    std::_Exit(1);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::_Exit(error.kind() == ErrorKind::kSystem ? 0 : 2);
  }
}

TEST(ServerDeathTest, ThreadsThatCannotBeMadeAreAnError) {
  for (const rlim_t count : {0, 1, 3, 4}) {  // of four and one
    EXPECT_EXIT(serve_with_threads(count), testing::ExitedWithCode(0),
                count < 4 ? "A thread for requests could not be made: "
                          : "A thread for .* could not be made: ");
  }
}

}  // namespace
}  // namespace orthrus::server
