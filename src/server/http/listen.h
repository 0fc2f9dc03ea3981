// Sockets that connections come to.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace orthrus::server {

// Closes them with the object; a Unix socket's name is removed, if it is still the one made here.
class Listening {
 public:
  // All addresses of a host's name, "0.0.0.0", "::" (which takes IPv4, too) or the like. Port 0
  // lets the system pick one. Throws Error(kSystem), naming the address, for what cannot be had,
  // as a port that is in use.
  static Listening on_host(const std::string& host, int port);
  // A name that was left behind by a process that has ended is replaced. Throws Error(kSystem) when
  // another process listens there, or something else has that name.
  static Listening on_unix_socket(const std::string& path);

  Listening(Listening&&) noexcept = default;
  Listening& operator=(Listening&&) noexcept = delete;
  ~Listening();

  const std::vector<int>& sockets() const { return sockets_; }
  const std::vector<std::string>& addresses() const { return addresses_; }  // for a person
  int port() const { return port_; }                                        // 0 of a Unix socket

  void close();

 private:
  Listening() = default;

  std::vector<int> sockets_;
  std::vector<std::string> addresses_;
  int port_ = 0;
  std::string path_;
  std::pair<unsigned long, unsigned long> file_{};  // device and inode of path_
};

}  // namespace orthrus::server
