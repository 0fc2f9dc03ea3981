#include "server/http/target.h"

namespace orthrus::server {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    decoded += c;
  }
  return decoded;
}

}  // namespace

std::optional<Target> read_target(std::string_view text) {
  if (text == "*") return Target{.path = "*", .query = {}};
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const size_t slash = text.find('/', scheme.size());
    text = slash == std::string_view::npos ? "/" : text.substr(slash);
    break;
  }
  if (!text.starts_with('/')) return std::nullopt;
  text = text.substr(0, text.find('#'));
  const size_t mark = text.find('?');
  std::optional<std::string> path = percent_decoded(text.substr(0, mark));
  if (!path) return std::nullopt;
  return Target{.path = std::move(*path),
                .query = std::string(mark == std::string_view::npos ? std::string_view()
                                                                    : text.substr(mark + 1))};
}

}  // namespace orthrus::server
