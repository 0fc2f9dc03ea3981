#include "cli/chat/one_message.h"

#include <fmt/core.h>

#include "cli/exit_code.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/stream_printer.h"
#include "cli/text.h"
#include "cli/utf8.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

std::string checked(std::string text, const std::string& name) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  if (text.empty()) {
    throw Error(ErrorKind::kUsage, fmt::format("{} is empty; there is no message.", name));
  }
  check_utf8(name, text);
  return text;
}

std::string with_question(std::string text, const std::string& question) {
  return question.empty() ? text : text + "\n\n" + question;
}

}  // namespace

std::string message_of_file(const std::string& file, const std::string& question) {
  return with_question(checked(read_file(file), without_controls(file)), question);
}

std::string MessageSource::read() const {
  if (text) check_utf8("--prompt", *text);
  if (text && !file) return *text;
  if (file && *file != "-") return message_of_file(*file, text.value_or(""));
  return with_question(checked(read_standard_input(), "Standard input"), text.value_or(""));
}

int reply_once(Responder& responder, std::span<const ChatMessage> messages,
               const GenerateOptions& options, Telling telling, Style style) {
  const bool json = telling == Telling::kJson;
  Output output;
  StreamPrinter printer(output, style, responder.engine().tokenizer());
  const Interrupt interrupt;
  std::function<bool(const Step&)> on_step;
  if (!json) on_step = [&printer](const Step& step) { return printer.put(step); };
  const Reply reply = responder.reply(messages, options, interrupt, std::move(on_step));
  const Generation& generation = reply.generation;
  if (json) {
    const nlohmann::ordered_json object = {{"text", generation.text},
                                           {"prompt_ids", reply.prompt_ids},
                                           {"output_ids", generation.output_ids},
                                           {"finish_reason", name_of(generation.finish_reason)},
                                           {"seed", options.sampling.seed},
                                           {"stats", to_json(generation.stats)}};
    output.write(json_line(object));
  } else {
    printer.end_line();
    const bool summary = telling == Telling::kReplyAndSummary && !output.failed();
    if (summary) write_error_stream(reply.summary(responder.engine().config()));
  }
  return output.finish(interrupt.requested() ? interrupt.exit_code() : kSuccess);
}

}  // namespace orthrus::cli
