// The body of a request to /v1/messages; the first byte says which chat format the model has.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "orthrus/error.h"
#include "server/anthropic/error_form.h"
#include "server/anthropic/messages_request.h"

namespace {

using orthrus::ChatFormat;
using namespace orthrus::server;

void check(std::string_view text, const ServerInfo& info) {
  orthrus::ModelConfig config;
  config.vocab_size = 100;
  const Json json = parse_body(text);
  const auto request = anthropic::read_request(Fields(json), info, config, "id");
  if (request.options.max_tokens < 1 || request.prompt.text.empty()) std::abort();
  if (!request.prompt.text.ends_with(request.prompt.begun)) std::abort();
  for (const std::string& stop : request.options.stop) {
    if (stop.empty()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size == 0) return 0;
  constexpr ChatFormat kFormats[] = {ChatFormat::kChatMl, ChatFormat::kQwen25, ChatFormat::kQwen3,
                                     ChatFormat::kQwen3Thinking2507};
  ServerInfo info;
  info.model = "m";
  info.chat_format = kFormats[input[0] % 4];
  try {
    check(std::string_view(reinterpret_cast<const char*>(input) + 1, size - 1), info);
  } catch (const ApiError& error) {
    if (error.status != 400) std::abort();
    if (!Json::accept(anthropic::error_json(error, "r"))) std::abort();
  } catch (const orthrus::Error& error) {
    if (error.kind() != orthrus::ErrorKind::kUsage) std::abort();
  }
  return 0;
}
