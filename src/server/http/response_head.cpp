#include "server/http/response_head.h"

#include <fmt/core.h>

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/status.hpp>
#include <ctime>

namespace orthrus::server {
namespace {

void add_field(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (const char c : value) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) head += c;
  }
  head += "\r\n";
}

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

}  // namespace

std::string response_head(const ResponseHead& head, const Headers& common, const Headers& extra) {
  const auto reason = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(head.status)));
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", head.status,
                                 std::string_view(reason.data(), reason.size()));
  add_field(text, "Date", date());
  if (!head.content_type.empty()) add_field(text, "Content-Type", head.content_type);
  if (head.framing == Framing::kLength) {
    add_field(text, "Content-Length", std::to_string(head.length));
  }
  if (head.framing == Framing::kChunked) add_field(text, "Transfer-Encoding", "chunked");
  if (!head.keep_alive) {
    add_field(text, "Connection", "close");
  } else if (head.http_1_0) {
    add_field(text, "Connection", "keep-alive");
  }
  for (const auto& [name, value] : common) add_field(text, name, value);
  for (const auto& [name, value] : extra) add_field(text, name, value);
  return text += "\r\n";
}

std::string chunk(std::string_view piece) {
  return fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

}  // namespace orthrus::server
