#include "server/http_client.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace orthrus::test {
namespace {

int connected(const sockaddr* address, socklen_t length) {
  const int socket = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 30, .tv_usec = 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(socket, address, length) != 0) {
    const int error = errno;
    close(socket);
    throw std::runtime_error(fmt::format("cannot connect: {}", std::strerror(error)));
  }
  return socket;
}

}  // namespace

HttpClient::HttpClient(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  socket_ = connected(reinterpret_cast<sockaddr*>(&address), sizeof address);
}

HttpClient::HttpClient(const std::string& unix_socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  unix_socket.copy(address.sun_path, sizeof address.sun_path - 1);
  socket_ = connected(reinterpret_cast<sockaddr*>(&address), sizeof address);
}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), read_(std::move(other.read_)) {}

HttpClient::~HttpClient() {
  if (socket_ >= 0) close(socket_);
}

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) throw std::runtime_error("the server reads nothing");
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string HttpClient::read_some() {
  if (!read_.empty()) return std::exchange(read_, {});
  std::string bytes(64 << 10, '\0');
  const ssize_t size = recv(socket_, bytes.data(), bytes.size(), 0);
  if (size < 0 && errno == EAGAIN) throw std::runtime_error("the server says nothing");
  bytes.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return bytes;
}

std::string HttpClient::read_all() {
  std::string all;
  for (std::string bytes; !(bytes = read_some()).empty();) all += bytes;
  return all;
}

bool HttpClient::read_more() {
  std::string had = std::exchange(read_, {});
  const std::string more = read_some();
  read_ = std::move(had) + more;
  return !more.empty();
}

std::optional<std::string> HttpClient::take(size_t bytes) {
  while (read_.size() < bytes) {
    if (!read_more()) return std::nullopt;
  }
  std::string taken = read_.substr(0, bytes);
  read_.erase(0, bytes);
  return taken;
}

std::optional<std::string> HttpClient::take_line() {
  size_t end;
  while ((end = read_.find("\r\n")) == std::string::npos) {
    if (!read_more()) return std::nullopt;
  }
  std::string line = read_.substr(0, end);
  read_.erase(0, end + 2);
  return line;
}

std::optional<HttpResponse> HttpClient::read_response(bool head) {
  HttpResponse response;
  const auto first = take_line();
  if (!first || !first->starts_with("HTTP/1.1 ")) return std::nullopt;
  response.status = std::stoi(first->substr(9));
  for (;;) {
    const auto field = take_line();
    if (!field) return std::nullopt;
    if (field->empty()) break;
    const size_t colon = field->find(": ");
    std::string name = field->substr(0, colon);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    response.fields[name] = field->substr(colon + 2);
  }
  if (head || response.status < 200 || response.status == 204) return response;
  if (response.fields.contains("transfer-encoding")) {
    for (;;) {
      const auto size_line = take_line();
      if (!size_line) return std::nullopt;
      const size_t size = std::stoul(*size_line, nullptr, 16);
      const auto piece = take(size + 2);
      if (!piece) return std::nullopt;
      if (size == 0) return response;
      response.body += piece->substr(0, size);
    }
  }
  if (response.fields.contains("content-length")) {
    auto body = take(std::stoul(response.fields["content-length"]));
    if (!body) return std::nullopt;
    response.body = std::move(*body);
  } else {
    response.body = read_all();
  }
  return response;
}

void HttpClient::end_sending() {
  shutdown(socket_, SHUT_WR);
}

void HttpClient::reset() {
  const linger drop{.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &drop, sizeof drop);
  close(std::exchange(socket_, -1));
}

void HttpClient::shrink_receive_buffer() {
  const int bytes = 4096;
  setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

std::string http_request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view fields) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n{}\r\n{}", method, path,
                     body.size(), fields, body);
}

HttpResponse ask(int port, std::string_view method, std::string_view path, std::string_view body,
                 std::string_view fields) {
  HttpClient client(port);
  client.send(http_request(method, path, body, fields));
  std::optional<HttpResponse> response = client.read_response(method == "HEAD");
  if (!response) throw std::runtime_error(fmt::format("no answer to {} {}", method, path));
  return std::move(*response);
}

}  // namespace orthrus::test
