// A client as tests need it: bytes in, bytes out, over a socket of its own.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace orthrus::test {

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> fields;  // names in lower case; of several the last
  std::string body;                           // chunks joined
};

// Throws std::runtime_error when nothing comes for half a minute.
class HttpClient {
 public:
  explicit HttpClient(int port);
  explicit HttpClient(const std::string& unix_socket);
  HttpClient(HttpClient&& other) noexcept;
  ~HttpClient();

  bool send(std::string_view bytes);  // false: the server has hung up
  // The next answer on this connection; `head`: it has no body whatever it says. Nothing where the
  // server hung up before its end.
  std::optional<HttpResponse> read_response(bool head = false);
  std::string read_some();  // empty: the server has hung up
  std::string read_all();   // until then
  void end_sending();       // closes our side
  void reset();             // closes all, and drops what is under way
  void shrink_receive_buffer();
  int socket() const { return socket_; }

 private:
  bool read_more();
  std::optional<std::string> take(size_t bytes);
  std::optional<std::string> take_line();

  int socket_ = -1;
  std::string read_;
};

// "POST /path HTTP/1.1", with a Host and the length of `body`. `fields` end in "\r\n" each.
std::string http_request(std::string_view method, std::string_view path, std::string_view body = {},
                         std::string_view fields = {});

// One request on a connection of its own; fails where there is no answer.
HttpResponse ask(int port, std::string_view method, std::string_view path,
                 std::string_view body = {}, std::string_view fields = {});

}  // namespace orthrus::test
