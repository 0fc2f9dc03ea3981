// What a server tells of itself.
#pragma once

#include <cstdint>
#include <string>

#include "orthrus/chat.h"
#include "orthrus/request.h"

namespace orthrus::server {

inline constexpr int kCachePageTokens = 64;  // positions of a page of the cache

struct ServerInfo {
  std::string model;                           // its id, as clients name it
  std::string version;                         // "0.1.0"
  int64_t started = 0;                         // seconds since 1970
  ChatFormat chat_format = ChatFormat::kNone;  // as found, or as --chat-format says
  GenerateOptions defaults;                    // of a request that says nothing: the checkpoint's
  int context_length = 0;                      // prompt and answer together, in tokens
  bool cache_limits_context = false;           // to less than the model's
};

}  // namespace orthrus::server
