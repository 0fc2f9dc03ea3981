// The text of an answer: the first byte says how it is read and cut. Cuts change nothing.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/output/parser.h"

namespace {

using orthrus::server::OutputMessage;
using orthrus::server::OutputOptions;
using orthrus::server::OutputParser;

OutputMessage parse(const OutputOptions& options, std::string_view text, size_t piece) {
  OutputParser parser(options);
  OutputMessage message;
  for (size_t i = 0; i < text.size(); i += piece) {
    const auto deltas = parser.put(text.substr(i, piece));
    for (const auto& delta : deltas) {
      if (delta.text.empty()) std::abort();
    }
    message.add(deltas);
  }
  message.add(parser.finish());
  if (parser.calls() != static_cast<int>(message.calls.size())) std::abort();
  return message;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(input) + 1, size - 1);
  OutputOptions options;
  options.reasoning = input[0] & 1;
  options.thinking_open = input[0] & 2;
  options.tools = input[0] & 4;
  options.parallel_calls = input[0] & 8;
  if (input[0] & 16) options.untagged = {"f"};
  const OutputMessage whole = parse(options, text, size);
  if (!(parse(options, text, 1 + (input[0] >> 5)) == whole)) std::abort();
  size_t out = whole.reasoning.size() + whole.content.size();
  for (const auto& call : whole.calls) out += call.arguments.size();
  if (out > 6 * text.size() + 2 * whole.calls.size()) std::abort();
  return 0;
}
