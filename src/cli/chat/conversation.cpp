#include "cli/chat/conversation.h"

#include <fmt/core.h>

#include <csignal>
#include <exception>
#include <filesystem>
#include <new>
#include <utility>

#include "cli/chat/conversation_file.h"
#include "cli/chat/one_message.h"
#include "cli/chat/quiet_terminal.h"
#include "cli/exit_code.h"
#include "cli/report.h"
#include "cli/stream_printer.h"
#include "cli/text.h"
#include "cli/utf8.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

ChatMessage message_from(std::string role, std::string content) {
  ChatMessage message;
  message.role = std::move(role);
  message.content = std::move(content);
  return message;
}

// A pipe or a device could be waited for without end.
void refuse_special(const std::string& file) {
  std::error_code ignored;
  const auto status = std::filesystem::status(file, ignored);
  if (!exists(status) || is_regular_file(status) || is_directory(status)) return;
  throw Error(ErrorKind::kFile, fmt::format("{} is not a regular file.", without_controls(file)));
}

std::string in_words(size_t messages) {
  return counted(messages, "message");
}

// Of a command that needs one.
std::string file_name(const std::string& argument, std::string_view usage) {
  const auto [file, rest] = take_file_name(argument);
  if (file.empty() || !rest.empty()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("The command is {}; a name with spaces stands in quotes.", usage));
  }
  return file;
}

}  // namespace

ConversationLoop::ConversationLoop(Responder& responder, ChatSettings& settings,
                                   std::optional<std::string> system, Style style,
                                   Keyboard keyboard)
    : responder_(&responder),
      settings_(&settings),
      system_(std::move(system)),
      style_(style),
      keyboard_(std::move(keyboard)) {
  clear();
}

int ConversationLoop::run() {
  using End = TypedLine::End;
  bool asked = false;  // whether the last thing was Ctrl-C where nothing was typed
  while (!output_.failed() && ended_ == 0) {
    const TypedMessage typed = read_message(keyboard_.read_line);
    if (typed.end == End::kTerminated) return output_.finish(128 + typed.signal);
    if (typed.end == End::kEndOfInput && !typed.quoted && typed.text.empty()) break;
    if (typed.end != End::kEntered) {
      const bool empty = typed.text.empty() && !typed.quoted;
      if (empty && asked) return output_.finish(kInterrupted);
      if (empty) write_error_stream("Ctrl-C once more, or Ctrl-D, ends the chat.\n");
      asked = empty;
      continue;
    }
    asked = false;
    if (trimmed(typed.text).empty()) continue;
    try {
      keyboard_.remember(typed.quoted ? "\"\"\"" + typed.text + "\"\"\"" : typed.text);
      std::optional<ChatCommand> command;
      if (!typed.quoted) command = parse_chat_command(typed.text);
      if (!command) {
        send(typed.text);
      } else if (obey(*command) == Next::kEnd) {
        break;
      }
    } catch (const Error& error) {
      print_error(error.what());
    } catch (const std::bad_alloc&) {
      print_error("There is not enough memory.");
    } catch (const std::exception& error) {
      print_error(error.what());  // whatever it is, the conversation goes on
    }
  }
  return output_.finish(ended_);
}

ConversationLoop::Next ConversationLoop::obey(const ChatCommand& command) {
  using Name = ChatCommand::Name;
  switch (command.name) {
    case Name::kHelp:
      write_error_stream(chat_help());
      break;
    case Name::kRead: {
      const auto [file, question] = take_file_name(command.argument);
      if (file.empty())
        throw Error(ErrorKind::kUsage, "The command is /read FILE or /read FILE TEXT.");
      refuse_special(file);
      send(message_of_file(file, question));
      break;
    }
    case Name::kSystem:
      set_system(command.argument);
      break;
    case Name::kClear:
      clear();
      write_error_stream("The conversation starts over.\n");
      break;
    case Name::kRetry:
      retry();
      break;
    case Name::kSave:
      save(command.argument);
      break;
    case Name::kLoad:
      load(command.argument);
      break;
    case Name::kSet:
      set(command.argument);
      break;
    case Name::kStats:
      write_error_stream(stats());
      break;
    case Name::kQuit:
      return Next::kEnd;
  }
  return Next::kGoOn;
}

void ConversationLoop::send(std::string message) {
  check_utf8("The message", message);
  const std::vector<ChatMessage> before = messages_;
  messages_.push_back(message_from("user", std::move(message)));
  try {
    if (!answer()) messages_ = before;
  } catch (...) {
    messages_ = before;
    throw;
  }
}

bool ConversationLoop::answer() {
  const ModelConfig& config = responder_->engine().config();
  StreamPrinter printer(output_, style_, responder_->engine().tokenizer());
  std::optional<Reply> reply;
  {
    const QuietTerminal quiet;
    const Interrupt interrupt(Interrupt::Again::kIsTheSame);
    reply = responder_->reply(messages_, settings_->resolve(config), interrupt,
                              [&printer](const Step& step) { return printer.put(step); });
    if (interrupt.requested() && interrupt.signal() != SIGINT) ended_ = interrupt.exit_code();
  }
  printer.end_line();
  write_error_stream(reply->summary(config));
  const GenerationStats& stats = reply->generation.stats;
  ++replies_;
  generated_ += stats.generated;
  passes_ += 1 + stats.ar_passes + stats.diffusion_passes;
  prompt_tokens_ += reply->prompt_ids.size();
  cached_ += static_cast<size_t>(stats.cached_tokens);
  seconds_ += stats.prefill_seconds + stats.decode_seconds;
  const bool said_something = !reply->generation.output_ids.empty();
  if (said_something) {
    messages_.push_back(message_from("assistant", reply->generation.text));
  }
  last_ = std::move(reply);
  return said_something;
}

void ConversationLoop::retry() {
  if (messages_.empty() || messages_.back().role == "system") {
    throw Error(ErrorKind::kUsage, "There is no message to answer again.");
  }
  const std::vector<ChatMessage> before = messages_;
  const bool again = answered();
  if (again) messages_.pop_back();
  if (messages_.empty() || messages_.back().role != "user") {
    messages_ = before;
    throw Error(ErrorKind::kUsage, "There is no message to answer again.");
  }
  if (again) {
    settings_->next_seed();
    write_error_stream(fmt::format("Answering again, with seed {}.\n", settings_->seed().value));
  }
  try {
    if (!answer()) messages_ = before;
  } catch (...) {
    messages_ = before;
    throw;
  }
}

void ConversationLoop::save(const std::string& argument) {
  const std::string file = file_name(argument, "/save FILE");
  save_conversation(file, messages_);
  write_error_stream(fmt::format("Saved {}.\n", in_words(messages_.size())));
}

void ConversationLoop::load(const std::string& argument) {
  const std::string file = file_name(argument, "/load FILE");
  refuse_special(file);
  messages_ = load_conversation(file);
  system_.reset();
  if (messages_.front().role == "system") system_ = messages_.front().content;
  last_.reset();
  write_error_stream(fmt::format(
      "Loaded {}.{}\n", in_words(messages_.size()),
      messages_.back().role == "user" ? " The last one has no reply; /retry answers it." : ""));
}

void ConversationLoop::set(const std::string& argument) {
  const ModelConfig& config = responder_->engine().config();
  if (argument.empty()) {
    write_error_stream(settings_->table(config));
    return;
  }
  const std::string name = argument.substr(0, argument.find_first_of(" \t="));
  std::string value(trimmed(std::string_view(argument).substr(name.size())));
  if (value.starts_with('=')) value = trimmed(std::string_view(value).substr(1));
  if (!value.empty()) {
    ChatSettings changed = *settings_;
    changed.set(name, value == "\"\"" ? "" : value);
    Request request;
    request.prompt = {0};  // any, of the right length
    request.options = changed.resolve(config);
    validate(request, config, responder_->engine().tokenizer());
    *settings_ = std::move(changed);
  }
  write_error_stream(without_controls(settings_->line(name, config)));
}

void ConversationLoop::set_system(const std::string& argument) {
  if (argument.empty()) {
    write_error_stream(system_ ? without_controls(*system_) + "\n"
                               : "There is no system message but the chat format's, if any.\n");
    return;
  }
  check_utf8("The system message", argument);
  const bool had_one = !messages_.empty() && messages_.front().role == "system";
  if (had_one) messages_.erase(messages_.begin());
  messages_.insert(messages_.begin(), message_from("system", argument));
  system_ = argument;
  write_error_stream("The system message is set.\n");
}

void ConversationLoop::clear() {
  messages_.clear();
  last_.reset();
  if (system_) messages_.push_back(message_from("system", *system_));
}

std::string ConversationLoop::stats() const {
  if (replies_ == 0) return "There were no replies.\n";
  std::string text;
  if (last_) text += "The last reply\n" + summary(last_->generation) + "\n";
  text += fmt::format(
      "All replies: {}\n"
      "{:<19}{}\n{:<19}{}, {} of them cached\n{:<19}{:.2f}\n{:<19}{:.1f} s\n",
      replies_, "tokens", generated_, "prompt tokens", prompt_tokens_, cached_,
      "tokens per forward", static_cast<double>(generated_) / passes_, "time", seconds_);
  return text;
}

}  // namespace orthrus::cli
