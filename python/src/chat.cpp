#include "orthrus/chat.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "chat.h"
#include "engine_options.h"
#include "server/output/from_prompt.h"
#include "server/output/parser.h"

namespace nb = nanobind;

namespace orthrus::python {
namespace {

// (role, content, reasoning, calls as (name, arguments))
using Message = std::tuple<std::string, std::string, std::optional<std::string>,
                           std::vector<std::pair<std::string, std::string>>>;

ChatFormat parse_format(const std::string& name) {
  for (const ChatFormat none : {ChatFormat::kNone, ChatFormat::kUnknown}) {
    if (name_of(none) == name) return none;
  }
  return parse_choice("chat_format", name, chat_format_choices());
}

std::string render(const std::string& format, const std::vector<Message>& messages,
                   const std::vector<std::string>& tools, bool add_generation_prompt,
                   bool enable_thinking, bool continue_final_message) {
  std::vector<ChatMessage> chat;
  for (const auto& [role, content, reasoning, calls] : messages) {
    ChatMessage& message = chat.emplace_back();
    message.role = role;
    message.content = content;
    message.reasoning_content = reasoning;
    for (const auto& [name, arguments] : calls) message.tool_calls.push_back({name, arguments});
  }
  return render_chat(parse_format(format), chat,
                     {.tools = tools,
                      .add_generation_prompt = add_generation_prompt,
                      .enable_thinking = enable_thinking,
                      .continue_final_message = continue_final_message});
}

// (reasoning, content, calls as (id, name, arguments)) of an answer to this prompt.
auto parse(const std::string& format, const std::string& prompt, const std::string& answer,
           std::vector<std::string> tool_names) {
  server::OutputParser parser(
      server::output_options(parse_format(format), prompt, std::move(tool_names)));
  server::OutputMessage message;
  message.add(parser.put(answer));
  message.add(parser.finish());
  std::vector<std::tuple<std::string, std::string, std::string>> calls;
  for (const server::OutputCall& call : message.calls) {
    calls.emplace_back(call.id, call.name, call.arguments);
  }
  return std::tuple(message.reasoning, message.content, calls);
}

}  // namespace

void bind_chat(nb::module_& module) {
  module.def("detect_chat_format", [](const std::string& model) {
    return std::string(name_of(detect_chat_format(model)));
  });
  module.def("chat_format_named",
             [](const std::string& name) { return std::string(name_of(parse_format(name))); });
  module.def("render_chat", &render);
  module.def("parse_answer", &parse);
}

}  // namespace orthrus::python
