#include "server/http/listen.h"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus::server {
namespace {

constexpr int kBacklog = 1024;
// A port that the system picks is free on one address. On the others of a name it may be taken, and
// then another one is picked.
constexpr int kMostPicks = 32;

[[noreturn]] void fail(const std::string& address, int error, const char* advice = "") {
  const std::string hint =
      error == EADDRINUSE ? std::string("; is another server running there?").append(advice) : ".";
  throw Error(ErrorKind::kSystem,
              fmt::format("Cannot listen on {}: {}{}", address, std::strerror(error), hint));
}

std::string in_words(const sockaddr* address, socklen_t length) {
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  getnameinfo(address, length, host, sizeof host, port, sizeof port,
              NI_NUMERICHOST | NI_NUMERICSERV);
  return address->sa_family == AF_INET6 ? fmt::format("http://[{}]:{}", host, port)
                                        : fmt::format("http://{}:{}", host, port);
}

int port_of(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

void set_port(sockaddr* address, int port) {
  const auto bytes = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = bytes;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = bytes;
  }
}

void set_flag(int socket, int level, int name, int value) {
  setsockopt(socket, level, name, &value, sizeof value);
}

// -1 with errno where it cannot be had.
int listening_socket(const sockaddr* address, socklen_t length) {
  const int socket = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  if (address->sa_family != AF_UNIX) set_flag(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address->sa_family == AF_INET6) {
    const bool any =
        IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
    set_flag(socket, IPPROTO_IPV6, IPV6_V6ONLY, any ? 0 : 1);
  }
  if (bind(socket, address, length) == 0 && listen(socket, kBacklog) == 0) return socket;
  const int error = errno;
  ::close(socket);
  errno = error;
  return -1;
}

// Removes a socket that nobody listens on any more.
void remove_stale(const sockaddr_un& address, const std::string& shown_path) {
  struct stat status {};
  if (lstat(address.sun_path, &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) {
    throw Error(
        ErrorKind::kSystem,
        fmt::format("Cannot listen on {}: a file that is not a socket has that name.", shown_path));
  }
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) fail(shown_path, errno);
  const int connected = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = connected == 0 ? 0 : errno;
  ::close(probe);
  if (error != ECONNREFUSED) fail(shown_path, EADDRINUSE);
  unlink(address.sun_path);
}

}  // namespace

Listening Listening::on_host(const std::string& host, int port) {
  std::string name = host;
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int unknown = getaddrinfo(name.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (unknown != 0) {
    throw Error(ErrorKind::kSystem,
                fmt::format("Cannot listen on {}: {}.", in_quotes(host), gai_strerror(unknown)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  Listening listening;
  listening.port_ = port;
  int picks = port == 0 ? kMostPicks : 1;
  const addrinfo* next = found;
  while (next != nullptr) {
    const addrinfo* const one = std::exchange(next, next->ai_next);
    set_port(one->ai_addr, listening.port_);
    const int socket = listening_socket(one->ai_addr, one->ai_addrlen);
    if (socket < 0) {
      // A name can have an IPv6 address on a machine without IPv6.
      const bool absent = errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL;
      const bool others = one->ai_next != nullptr || !listening.sockets_.empty();
      if (absent && others) continue;
      if (errno == EADDRINUSE && !listening.sockets_.empty() && --picks > 0) {
        listening.close();
        listening.addresses_.clear();
        listening.port_ = 0;
        next = found;
        continue;
      }
      fail(in_words(one->ai_addr, one->ai_addrlen), errno, " --port 0 picks a free one.");
    }
    listening.sockets_.push_back(socket);
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &length);
    listening.port_ = port_of(bound);
    listening.addresses_.push_back(in_words(reinterpret_cast<sockaddr*>(&bound), length));
  }
  return listening;
}

Listening Listening::on_unix_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string shown_path = in_quotes(path);
  if (path.empty() || path.size() >= sizeof address.sun_path ||
      path.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kSystem,
                fmt::format("Cannot listen on {}: the name of a socket has 1 to {} bytes.",
                            shown_path, sizeof address.sun_path - 1));
  }
  path.copy(address.sun_path, path.size());
  remove_stale(address, shown_path);
  const int socket = listening_socket(reinterpret_cast<sockaddr*>(&address), sizeof address);
  if (socket < 0) fail(shown_path, errno);
  Listening listening;
  listening.sockets_.push_back(socket);
  listening.addresses_.push_back("unix:" + path);
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0) {
    listening.path_ = path;
    listening.file_ = {status.st_dev, status.st_ino};
  }
  return listening;
}

Listening::~Listening() {
  close();
}

void Listening::close() {
  struct stat status {};
  if (!path_.empty() && lstat(path_.c_str(), &status) == 0 &&
      file_ == std::pair<unsigned long, unsigned long>(status.st_dev, status.st_ino)) {
    unlink(path_.c_str());
  }
  path_.clear();
  for (const int socket : sockets_) ::close(socket);
  sockets_.clear();
}

}  // namespace orthrus::server
