// orthrus chat: a conversation at a terminal, or one message from a script.
#include "orthrus/chat.h"

#include <fmt/core.h>

#include <csignal>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cli/chat/conversation.h"
#include "cli/chat/history_file.h"
#include "cli/chat/line_editor.h"
#include "cli/chat/one_message.h"
#include "cli/chat/responder.h"
#include "cli/chat/settings.h"
#include "cli/chat_format.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/running.h"
#include "cli/text.h"
#include "cli/utf8.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus chat -m Orthrus-Qwen3-1.7B
  orthrus chat -m qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
  orthrus chat -m Orthrus-Qwen3-1.7B --system 'You answer in one sentence.' --no-thinking
  orthrus chat -m Orthrus-Qwen3-1.7B -p 'Which is larger, 9.9 or 9.11?'
  orthrus chat -m Orthrus-Qwen3-1.7B -f notes.txt -p 'Sum this up.' --json
  git diff | orthrus chat -m Orthrus-Qwen3-1.7B

At a terminal, /help lists what can be typed. -p, -f and a pipe send one message, and the chat ends
with its reply. Ctrl-C ends a reply.)";

struct Options {
  ModelOptions model;
  MessageSource message;
  ChatSettings settings;
  ChatFormatOption format;
  std::optional<std::string> system;
  bool no_thinking = false;
  bool json = false;
  bool quiet = false;
  bool no_history = false;
  ColorChoice color = ColorChoice::kAuto;
};

ChatFormat format_of(const Options& options) {
  const ChatFormat format = options.format.resolve(options.model.directory);
  if (options.no_thinking && thinking_of(format) == Thinking::kAlways) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--no-thinking: models of the chat format {} always think.", name_of(format)));
  }
  return format;
}

// The last part of the model's path.
std::string short_name(const std::string& model) {
  std::filesystem::path path(model);
  if (path.filename().empty()) path = path.parent_path();
  return without_controls(path.filename().string());
}

std::string greeting(const Options& options, const Engine& engine, ChatFormat format) {
  const SamplingParams sampling = options.settings.resolve(engine.config()).sampling;
  return fmt::format(
      "{}, chat format {}, context {}, {}\n/help lists the commands.\n",
      short_name(options.model.directory), name_of(format), engine.config().max_position_embeddings,
      sampling.greedy()
          ? std::string("greedy")
          : fmt::format("temperature {}, seed {}", sampling.temperature, sampling.seed));
}

// A Ctrl-C that comes between a reply and the next line, after one that ended the reply, must not
// end the chat.
class IdleInterrupt {
 public:
  IdleInterrupt() {
    sigaction(SIGINT, nullptr, &before_);
    if (before_.sa_handler == SIG_IGN) return;
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, nullptr);
  }
  ~IdleInterrupt() { sigaction(SIGINT, &before_, nullptr); }
  IdleInterrupt(const IdleInterrupt&) = delete;
  IdleInterrupt& operator=(const IdleInterrupt&) = delete;

 private:
  struct sigaction before_ {};
};

// Lines as they come, where standard error is no terminal on which they could be edited.
TypedLine read_plain_line(const std::string&) {
  std::optional<std::string> line = read_line();
  if (!line) return {.end = TypedLine::End::kEndOfInput};
  return {.end = TypedLine::End::kEntered, .text = *std::move(line)};
}

int converse(Options& options, Responder& responder, ChatFormat format, Style style) {
  write_error_stream(greeting(options, responder.engine(), format));
  Keyboard keyboard{read_plain_line, [](const std::string&) {}};
  std::optional<IdleInterrupt> idle;
  std::optional<LineEditor> editor;
  std::optional<HistoryFile> history;
  if (standard_error_is_terminal()) {
    idle.emplace();
    editor.emplace();
    if (!options.no_history) history = HistoryFile::of_this_user();
    if (history) {
      for (const std::string& text : history->read()) editor->remember(text);
    }
    keyboard.read_line = [&editor](const std::string& prompt) { return editor->read(prompt); };
    keyboard.remember = [&editor, &history](const std::string& text) {
      editor->remember(text);
      if (history) history->append(text);
    };
  }
  return ConversationLoop(responder, options.settings, options.system, style, std::move(keyboard))
      .run();
}

int run(Options& options) {
  const ChatFormat format = format_of(options);
  if (options.system) check_utf8("--system", *options.system);
  const bool one_message = options.message.given() || !standard_input_is_terminal();
  if (options.json && !one_message) {
    throw Error(ErrorKind::kUsage, "--json is for one message: give --prompt, --file or a pipe.");
  }
  std::string message;
  if (one_message) message = options.message.read();
  std::vector<ChatMessage> messages;
  if (options.system) {
    messages.emplace_back().role = "system";
    messages.back().content = *options.system;
  }
  messages.emplace_back().role = "user";
  messages.back().content = std::move(message);

  // What is wrong is told before the weights are read; of a conversation that is to come, all but
  // its messages.
  const ChatStyle chat{format, !options.no_thinking};
  ModelFiles files = open_model(options.model);
  if (files.tokenizer() == nullptr) {
    throw Error(ErrorKind::kFile, fmt::format("{} comes without a tokenizer; chat needs one.",
                                              without_controls(options.model.directory)));
  }
  warn(options.format.warning(files.tokenizer()));
  const GenerateOptions generate = options.settings.resolve(files.config());
  validate(request_for(chat, messages, generate, files.config(), *files.tokenizer()),
           files.config(), files.tokenizer());
  Responder responder(std::move(files), chat);
  const Style style = style_of_output(options.color);
  if (!one_message) return converse(options, responder, format, style);
  const Telling telling = options.json    ? Telling::kJson
                          : options.quiet ? Telling::kReply
                                          : Telling::kReplyAndSummary;
  return reply_once(responder, messages, generate, telling, style);
}

}  // namespace

Command add_chat(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app = *root.add_subcommand("chat", "Talk to a chat model");
  options->model.add_to(app);
  refuse_empty(app.add_option("-p,--prompt", options->message.text,
                              "One message; the chat ends with its reply")
                   ->type_name("TEXT"));
  refuse_empty(app.add_option("-f,--file", options->message.file,
                              "A file of the message, before --prompt where both are given; - is "
                              "standard input")
                   ->type_name("FILE"));
  app.add_option("--system", options->system,
                 "System message; by default the chat format's, if any")
      ->type_name("TEXT");
  app.add_flag("--no-thinking", options->no_thinking,
               "Ask for answers without thinking, of models that can do both");
  options->format.add_to(app);
  app.add_flag("--json", options->json,
               "Of one message, print one JSON object, at the end, in place of the reply");
  app.add_flag("-q,--quiet", options->quiet, "Of one message, no summary on standard error");
  app.add_flag("--no-history", options->no_history,
               "Neither read nor write the file of what was typed in earlier chats");
  add_color(app, options->color);
  options->settings.add_to(app);
  app.footer(kExamples);
  return {&app, [options] { return run(*options); }};
}

}  // namespace orthrus::cli
