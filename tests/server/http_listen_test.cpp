// Where a server listens, and what it says when it cannot.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "orthrus/error.h"
#include "server/http/http_server.h"
#include "server/http/listen.h"
#include "server/http_client.h"

namespace orthrus::server {
namespace {

using test::ask;
using test::http_request;
using test::HttpClient;

Router router() {
  Router router;
  router.add("GET", "/hello", [](std::shared_ptr<Exchange> exchange) {
    exchange->respond(200, "text/plain", "hello");
  });
  return router;
}

TEST(Listen, ListensOnIpv6AndOnNames) {
  HttpOptions options;
  options.host = "localhost";
  const HttpServer server(options, router());
  EXPECT_EQ(ask(server.port(), "GET", "/hello").body, "hello");
  for (const std::string& address : server.addresses()) {
    EXPECT_TRUE(address.ends_with(fmt::format(":{}", server.port()))) << address;
  }
  try {
    options.host = "::";
    const HttpServer all(options, router());
    EXPECT_EQ(ask(all.port(), "GET", "/hello").body, "hello");
    EXPECT_EQ(all.addresses()[0], fmt::format("http://[::]:{}", all.port()));
  } catch (const Error& error) {  // a machine without IPv6
    EXPECT_NE(std::string(error.what()).find("Cannot listen on http://[::]:"), std::string::npos);
  }
}

// A name may have two addresses, and what is free on one may be taken on the other.
TEST(Listen, PicksAPortThatIsFreeOnAllAddressesOfAName) {
  if (Listening::on_host("localhost", 0).addresses().size() < 2) {
    GTEST_SKIP() << "localhost has one address here";
  }
  std::vector<int> taken;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  const auto take_port = [&](int family, const auto& address) {
    taken.push_back(socket(family, SOCK_STREAM, 0));
    return bind(taken.back(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  };
  for (int i = 0; i < 300 && take_port(AF_INET, v4) && take_port(AF_INET6, v6); ++i) {
  }
  for (int i = 0; i < 300; ++i) {
    ASSERT_NO_THROW({
      const Listening listening = Listening::on_host("localhost", 0);
      EXPECT_EQ(listening.sockets().size(), listening.addresses().size());
      EXPECT_NE(listening.port(), 0);
    });
  }
  for (const int socket : taken) close(socket);
}

TEST(Listen, SaysWhatItCannotListenOn) {
  const HttpServer server({}, router());
  HttpOptions options;
  options.port = server.port();
  try {
    const HttpServer second(options, router());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSystem);
    EXPECT_NE(std::string(error.what())
                  .find(fmt::format("Cannot listen on http://127.0.0.1:{}: Address already in use",
                                    server.port())),
              std::string::npos)
        << error.what();
  }
  options = {};
  options.host = "no such host";
  EXPECT_THROW(HttpServer(options, router()), Error);
}

TEST(Listen, ServesAUnixSocketAndRemovesIt) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / fmt::format("orthrus-http-{}", getpid());
  std::filesystem::create_directories(directory);
  HttpOptions options;
  options.unix_socket = directory / "socket";
  {
    const HttpServer server(options, router());
    HttpClient client(options.unix_socket);
    client.send(http_request("GET", "/hello"));
    EXPECT_EQ(client.read_response()->body, "hello");
    try {
      const HttpServer second(options, router());
      FAIL();
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).ends_with("is another server running there?"))
          << error.what();
    }
    client.send(http_request("GET", "/hello"));
    EXPECT_EQ(client.read_response()->body, "hello");
  }
  EXPECT_FALSE(std::filesystem::exists(options.unix_socket));
  // What a server that was killed leaves behind is replaced.
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  options.unix_socket.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(socket);
  { EXPECT_NO_THROW(HttpServer(options, router())); }
  // Something else is not.
  std::ofstream(options.unix_socket) << "text";
  EXPECT_THROW(HttpServer(options, router()), Error);
  EXPECT_TRUE(std::filesystem::exists(options.unix_socket));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace orthrus::server
