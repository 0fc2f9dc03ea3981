// Clients that are slow, broken, gone or malicious: each costs itself, and nobody else.
#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "server/http/http_server.h"
#include "server/http_client.h"

namespace orthrus::server {
namespace {

using namespace std::chrono_literals;
using test::ask;
using test::http_request;
using test::HttpClient;

// Exchanges of "/held" are kept until the test lets them go; "/stream" writes until its client is
// cut off or gone.
class Hostile : public testing::Test {
 protected:
  void serve(const HttpLimits& limits = {}) {
    HttpOptions options;
    options.limits = limits;
    Router router;
    router.add({.method = "GET", .path = "/open", .at_once = true, .handler = [](auto exchange) {
                  exchange->respond(200, "text/plain", "open");
                }});
    router.add("POST", "/echo", [](std::shared_ptr<Exchange> exchange) {
      exchange->respond(200, "text/plain", exchange->request().body);
    });
    router.add("GET", "/large", [](std::shared_ptr<Exchange> exchange) {
      exchange->respond(200, "text/plain", std::string(30 << 20, 'x'));
    });
    router.add("GET", "/piece", [](std::shared_ptr<Exchange> exchange) {
      exchange->begin_stream(200, "text/plain");
      exchange->write(std::string(30 << 20, 'x'));
      exchange->end();
    });
    for (const char* const method : {"GET", "POST"}) {
      router.add(method, "/taken", [this](std::shared_ptr<Exchange> exchange) {
        exchange->take_body();
        hold(std::move(exchange));
      });
      router.add(method, "/held", [this](std::shared_ptr<Exchange> exchange) {
        exchange->on_close([this] { ++closed_; });
        hold(std::move(exchange));
      });
    }
    router.add("GET", "/stream", [this](std::shared_ptr<Exchange> exchange) {
      std::atomic<bool> gone = false;
      exchange->on_close([&] { gone = true; });
      exchange->begin_stream(200, "text/plain");
      for (; !gone; written_ += 1000) {
        exchange->write(std::string(1000, 'x'));
        if (written_ % 100'000 == 0) std::this_thread::yield();
      }
      exchange->write("nobody reads this");
      exchange->end();
      ++closed_;
    });
    server_.emplace(options, std::move(router));
  }

  ~Hostile() override {
    let_go();
    server_.reset();
  }

  int port() const { return server_->port(); }
  void expect_served() { EXPECT_EQ(ask(port(), "GET", "/open").body, "open"); }

  void hold(std::shared_ptr<Exchange> exchange) {
    const std::lock_guard lock(mutex_);
    held_.push_back(std::move(exchange));
    changed_.notify_all();
  }
  void wait_for_held(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_.size() >= count; });
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    for (const auto& exchange : held_) exchange->respond(200, "text/plain", "late");
    held_.clear();
  }
  void wait_until(const std::function<bool()>& done) const {
    while (!done()) std::this_thread::sleep_for(1ms);
  }
  void wait_for_connections(int count) const {
    wait_until([&] { return server_->connections() == count; });
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Exchange>> held_;
  std::atomic<int> closed_ = 0;
  std::atomic<size_t> written_ = 0;
  std::optional<HttpServer> server_;
};

TEST_F(Hostile, WhatIsNotHttpIsTold) {
  serve({.header_bytes = 4000, .body_bytes = 1000});
  const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  const std::vector<std::pair<std::string, int>> cases = {
      {"\x16\x03\x01\x02", 400},  // TLS
      {"{\"model\": 1}\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET /open\r\n\r\n", 400},
      {"GET /open HTTP/1.1\r\n\r\n", 400},
      {"GET /open HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET /open HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"GET /open HTTP/1.1\r\nHost a\r\n\r\n", 400},
      {"GET /open HTTP/1.1\r\nHost: a\r\nB\x01: c\r\n\r\n", 400},
      {"GET /open HTTP/1.1\nHost: a\n\nGET /open HTTP/1.1\r\nHost: a\r\n\r\n", 505},
      {"GET open HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 431},
      {"GET /open HTTP/1.1\r\nHost: a\r\nB: " + std::string(5000, 'b') + "\r\n\r\n", 431},
      {"GET /open HTTP/1.1\r\nHost: a\r\n" + std::string(5000, 'b'), 431},
      {post + "Content-Length: -1\r\n\r\n", 400},
      {post + "Content-Length: 1x\r\n\r\n", 400},
      {post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
      {post + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
      {post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(9000, 'e'), 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nfff\r\n" + std::string(4095, 'x'), 413},
      {post + "Content-Length: 1001\r\n\r\n", 413},
      {post + "Content-Length: 4\r\nContent-Encoding: gzip\r\n\r\nabcd", 415},
      {post + "Content-Length: 4\r\nExpect: a-miracle\r\n\r\nabcd", 417},
  };
  for (const auto& [bytes, status] : cases) {
    HttpClient client(port());
    client.send(bytes);
    const auto response = client.read_response();
    ASSERT_TRUE(response) << bytes.substr(0, 100);
    EXPECT_EQ(response->status, status) << bytes.substr(0, 100);
    EXPECT_EQ(response->fields.at("connection"), "close") << bytes.substr(0, 100);
    EXPECT_FALSE(nlohmann::json::parse(response->body)["error"]["message"].empty());
    EXPECT_EQ(client.read_some(), "") << bytes.substr(0, 100);
  }
  expect_served();
}

TEST_F(Hostile, ALargeBodyIsRefusedBeforeItIsSentAndItsSenderHearsWhy) {
  serve({.body_bytes = 1 << 20});
  HttpClient client(port());
  client.send(http_request("POST", "/echo", std::string(8 << 20, 'x')));
  EXPECT_EQ(client.read_response()->status, 413);
}

TEST_F(Hostile, OneByteAfterTheOtherIsTooSlow) {
  serve({.header_time = 150ms, .body_time = 150ms});
  HttpClient slow(port());
  const std::string bytes = "GET /open HTTP/1.1\r\nA: " + std::string(10'000, 'b');
  size_t sent = 0;
  for (pollfd readable{.fd = slow.socket(), .events = POLLIN, .revents = 0};
       poll(&readable, 1, 10) == 0 && sent < bytes.size(); ++sent) {
    slow.send(bytes.substr(sent, 1));
  }
  EXPECT_EQ(slow.read_response()->status, 408);
  EXPECT_LT(sent, bytes.size());

  HttpClient body(port());
  body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
  EXPECT_EQ(body.read_response()->status, 408);

  HttpClient silent(port());
  EXPECT_EQ(silent.read_some(), "");
  expect_served();
}

TEST_F(Hostile, AnIdleConnectionIsClosed) {
  serve({.idle_time = 150ms});
  HttpClient client(port());
  client.send(http_request("GET", "/open"));
  EXPECT_EQ(client.read_response()->status, 200);
  EXPECT_EQ(client.read_some(), "");
}

TEST_F(Hostile, AStreamWhoseClientFallsBehindIsCut) {
  serve({.unsent_bytes = 1 << 20});
  HttpClient slow(port());
  slow.shrink_receive_buffer();
  slow.send(http_request("GET", "/stream"));
  wait_until([&] { return closed_ == 1; });
  wait_for_connections(0);
  expect_served();
}

TEST_F(Hostile, APieceMayBeLargerThanWhatMayWait) {
  serve({.unsent_bytes = 1000});
  HttpClient client(port());
  client.send(http_request("GET", "/piece"));
  EXPECT_EQ(client.read_response()->body.size(), size_t{30} << 20);
}

TEST_F(Hostile, AnAnswerThatNobodyReadsIsDropped) {
  serve({.stall_time = 200ms});
  HttpClient stalled(port());
  stalled.send(http_request("GET", "/large"));
  wait_until([&] { return server_->answering() == 1; });
  wait_for_connections(0);
  HttpClient reader(port());
  reader.send(http_request("GET", "/large"));
  EXPECT_EQ(reader.read_response()->body.size(), size_t{30} << 20);
}

TEST_F(Hostile, WhoGoesWhileWaitingIsNoticed) {
  serve();
  HttpClient waiting(port()), half(port()), more(port());
  for (HttpClient* client : {&waiting, &half, &more}) client->send(http_request("GET", "/held"));
  wait_for_held(3);
  EXPECT_EQ(closed_, 0);
  more.send("GET /open");  // what follows is read, too
  waiting.reset();
  wait_until([&] { return closed_ == 1; });
  more.reset();
  wait_until([&] { return closed_ == 2; });
  // One that has closed its side alone is taken for gone, but gets what is answered.
  half.end_sending();
  wait_until([&] { return closed_ == 3; });
  let_go();
  EXPECT_EQ(half.read_response()->body, "late");
  EXPECT_EQ(half.read_some(), "");
  wait_for_connections(0);
}

TEST_F(Hostile, WhoGoesWhileAnAnswerStreamsIsNoticed) {
  serve({.unsent_bytes = size_t{1} << 40});
  HttpClient client(port());
  client.send(http_request("GET", "/stream"));
  EXPECT_NE(client.read_some(), "");
  client.reset();
  wait_until([&] { return closed_ == 1; });
  expect_served();
}

TEST_F(Hostile, WhoHasGoneBeforeTheHandlerAsksIsNoticed) {
  serve();
  Router router;
  std::atomic<bool> go_on = false;
  router.add("GET", "/late", [&](std::shared_ptr<Exchange> exchange) {
    wait_until([&] { return go_on.load(); });
    exchange->on_close([this] { ++closed_; });
  });
  server_->set_router(std::move(router));
  HttpClient client(port());
  client.send(http_request("GET", "/late"));
  wait_until([&] { return server_->answering() == 1; });
  client.reset();
  wait_for_connections(0);
  go_on = true;
  wait_until([&] { return closed_ == 1; });
}

TEST_F(Hostile, TenThousandConnectionsComeAndGo) {
  serve();
  for (int i = 0; i < 10'000; ++i) {
    HttpClient client(port());
    if (i % 3 == 1) client.send("GET /open HT");
    if (i % 3 == 2) client.send(http_request("GET", "/open"));
    if (i % 2 == 0) client.reset();
  }
  expect_served();
  wait_for_connections(0);
}

TEST_F(Hostile, IdleConnectionsGiveWayWhereThereAreTooMany) {
  serve({.connections = 4});
  std::vector<HttpClient> idle;
  for (int i = 0; i < 20; ++i) idle.emplace_back(port());
  for (int i = 0; i < 5; ++i) expect_served();
  EXPECT_LE(server_->connections(), 4);
  // Those that are being answered do not: who comes then waits for one of them to end.
  std::vector<HttpClient> busy;
  for (int i = 0; i < 4; ++i) {
    busy.emplace_back(port());
    busy.back().send(http_request("GET", "/held", "", "Connection: close\r\n"));
  }
  wait_for_held(4);
  HttpClient late(port());
  late.send(http_request("GET", "/open"));
  let_go();
  EXPECT_EQ(late.read_response()->body, "open");
}

TEST_F(Hostile, WithoutFilesForConnectionsTheOthersGoOn) {
  serve();
  HttpClient before(port());
  before.send(http_request("GET", "/held"));
  wait_for_held(1);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  {
    HttpClient refused(port());
    wait_for_connections(2);
    refused.reset();
    wait_for_connections(1);
  }
  // One file is left, which a client takes.
  const int next = dup(0);
  close(next);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(next) + 1, .rlim_max = files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  HttpClient late(port());
  late.send(http_request("GET", "/open"));
  std::this_thread::sleep_for(50ms);
  let_go();
  EXPECT_EQ(before.read_response()->body, "late");
  setrlimit(RLIMIT_NOFILE, &files);
  EXPECT_EQ(late.read_response()->body, "open");
}

TEST_F(Hostile, BodiesOfAllRequestsTogetherAreBounded) {
  serve({.bodies_bytes = 1000});
  HttpClient first(port());
  first.send(http_request("POST", "/held", std::string(600, 'a')));
  wait_for_held(1);
  EXPECT_EQ(ask(port(), "POST", "/echo", std::string(600, 'b')).status, 503);
  EXPECT_EQ(ask(port(), "POST", "/echo", std::string(300, 'c')).status, 200);
  let_go();
  first.read_response();
  // Its handler may still have it.
  wait_until([&] { return ask(port(), "POST", "/echo", std::string(600, 'd')).status == 200; });
}

TEST_F(Hostile, BodiesThatWereTakenCountNoMore) {
  serve({.bodies_bytes = 1000});
  HttpClient first(port());
  first.send(http_request("POST", "/taken", std::string(600, 'a')));
  wait_for_held(1);
  EXPECT_EQ(ask(port(), "POST", "/echo", std::string(600, 'b')).status, 200);
  let_go();
  EXPECT_EQ(first.read_response()->status, 200);
}

TEST_F(Hostile, AFloodOfPipelinedRequestsIsNotReadAhead) {
  serve();
  HttpClient client(port());
  fcntl(client.socket(), F_SETFL, O_NONBLOCK);
  std::string requests = http_request("GET", "/held");
  for (int i = 0; i < 1000; ++i) requests += http_request("GET", "/open");
  // Far less than this fits into what systems keep for a connection.
  constexpr size_t kFlood = size_t{1} << 30;
  size_t sent = 0;
  for (int full = 0; full < 100 && sent < kFlood;) {
    const ssize_t size = send(client.socket(), requests.data(), requests.size(), MSG_NOSIGNAL);
    if (size > 0) sent += static_cast<size_t>(size);
    full = size > 0 ? 0 : full + 1;
    if (size <= 0) std::this_thread::sleep_for(1ms);
  }
  EXPECT_LT(sent, kFlood);
  expect_served();
}

TEST_F(Hostile, HandlersThatAreAllBusyDoNotHoldUpWhatIsQuick) {
  serve();
  Router router;
  std::atomic<bool> go_on = false;
  router.add("GET", "/busy", [&](std::shared_ptr<Exchange> exchange) {
    wait_until([&] { return go_on.load(); });
    exchange->respond(200, "text/plain", "busy");
  });
  router.add({.method = "GET", .path = "/open", .at_once = true, .handler = [](auto exchange) {
                exchange->respond(200, "text/plain", "open");
              }});
  server_->set_router(std::move(router));
  std::vector<HttpClient> clients;
  for (int i = 0; i < 32; ++i) {
    clients.emplace_back(port());
    clients.back().send(http_request("GET", "/busy"));
  }
  wait_until([&] { return server_->answering() == 32; });
  expect_served();
  go_on = true;
  for (HttpClient& client : clients) EXPECT_EQ(client.read_response()->body, "busy");
}

}  // namespace
}  // namespace orthrus::server
