// orthrus chat: a conversation, whose keys and values are kept from turn to turn.
#include "orthrus/chat.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "cli/chat_format.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/running.h"
#include "cli/stream_printer.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

constexpr const char* kExamples = R"(EXAMPLES
  orthrus chat -m Orthrus-Qwen3-1.7B
  orthrus chat -m qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
  orthrus chat -m Orthrus-Qwen3-1.7B --system 'You answer in one sentence.' --no-thinking
  echo 'Which is larger, 9.9 or 9.11?' | orthrus chat -m Orthrus-Qwen3-1.7B

Each line of standard input is a message. /clear starts over, /exit or the end of the input ends
the chat. Ctrl-C ends the reply; while you type, it ends the chat.)";

constexpr const char* kHelp =
    "/clear  start over\n"
    "/exit   end the chat, as Ctrl-D does\n"
    "/help   this\n"
    "Anything else is a message. Ctrl-C ends a reply.\n";

struct Options {
  ModelOptions model;
  DecodingOptions decoding;
  int max_tokens = 2048;
  ChatFormatOption format;
  std::optional<std::string> system;
  bool no_thinking = false;
  ColorChoice color = ColorChoice::kAuto;
};

std::string_view trimmed(std::string_view line) {
  const size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t") - first + 1);
}

// A slash and one word of letters. A path or a comment is a message.
bool looks_like_command(std::string_view line) {
  return line.size() > 1 && line[0] == '/' &&
         std::all_of(line.begin() + 1, line.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

ChatFormat format_of(const Options& options) {
  const ChatFormat format = options.format.resolve(options.model.directory);
  if (options.no_thinking && thinking_of(format) == Thinking::kAlways) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--no-thinking: models of the chat format {} always think.", name_of(format)));
  }
  return format;
}

class Chat {
 public:
  explicit Chat(const Options& options)
      : options_(options),
        format_(format_of(options)),
        engine_(load_engine(options.model)),
        session_(engine_.start_session()),
        style_(style_of_output(options.color)) {
    if (engine_.tokenizer() == nullptr) {
      throw Error(ErrorKind::kFile, fmt::format("{} comes without a tokenizer; chat needs one.",
                                                without_controls(options.model.directory)));
    }
    generate_options_ = options.decoding.resolve(engine_.config());
    generate_options_.max_tokens = options.max_tokens;
    // The turn ends there also where it is not one of the checkpoint's end-of-sequence tokens.
    if (const auto end_of_turn = engine_.tokenizer()->find_added("<|im_end|>")) {
      generate_options_.stop_token_ids.push_back(*end_of_turn);
    }
    start_over();
  }

  int run() {
    bool all_answered = true;
    while (!output_.failed() && !interrupted_) {
      if (standard_input_is_terminal()) write_error_stream("> ");
      const std::optional<std::string> line = read_line();
      if (!line && standard_input_is_terminal()) write_error_stream("\n");
      if (!line) break;
      const std::string_view command = trimmed(*line);
      if (command == "/exit") break;
      if (command.empty()) continue;
      if (command == "/help") {
        write_error_stream(kHelp);
      } else if (command == "/clear") {
        start_over();
        write_error_stream("The conversation starts over.\n");
      } else if (looks_like_command(command)) {
        print_error(fmt::format("{} is not a command; valid is /clear, /exit or /help.",
                                in_quotes(command)));
      } else {
        all_answered &= answer(*line);
      }
    }
    if (interrupted_) return output_.finish(kInterrupted);
    return output_.finish(all_answered ? kSuccess : kFailure);
  }

 private:
  void start_over() {
    history_.clear();
    if (options_.system) add_message("system", *options_.system);
  }

  void add_message(std::string role, std::string content) {
    ChatMessage message;
    message.role = std::move(role);
    message.content = std::move(content);
    history_.push_back(std::move(message));
  }

  // False when the message is refused; the conversation is then as it was before.
  bool answer(const std::string& message) {
    try {
      engine_.encode(message);  // an error names the byte of the message, not of the conversation
    } catch (const Error& error) {
      print_error(error.what());
      return false;
    }
    add_message("user", message);
    Request request;
    request.prompt = conversation();
    request.options = generate_options_;
    const int context = engine_.config().max_position_embeddings;
    if (request.prompt.size() >= static_cast<size_t>(context)) {
      print_error(
          fmt::format("With this message the conversation has {} tokens; the model's context of {} "
                      "has no room for an answer. /clear starts over.",
                      request.prompt.size(), context));
      history_.pop_back();
      return false;
    }
    add_message("assistant", reply(request));
    return true;
  }

  std::vector<int32_t> conversation() const {
    ChatOptions chat;
    chat.enable_thinking = !options_.no_thinking;
    return engine_.encode(render_chat(format_, history_, chat));
  }

  std::string reply(Request& request) {
    StreamPrinter printer(output_, style_, engine_.tokenizer());
    const Interrupt interrupt;
    watch(request, interrupt, [&printer](const Step& step) { return printer.put(step); });
    Generation generation = session_.generate(request);
    printer.end_line();
    check_not_failed(generation);
    write_error_stream(turn_summary(generation.stats, request.prompt.size()));
    // At a terminal, Ctrl-C ends one reply; the next one, at the prompt, the chat.
    interrupted_ = interrupt.requested() && !standard_input_is_terminal();
    return std::move(generation.text);
  }

  std::string turn_summary(const GenerationStats& stats, size_t prompt_size) const {
    return fmt::format(
        "[{} tokens, {:.2f} tokens per forward, {:.1f} tokens/s; context {} of {}, {} of the "
        "prompt's {} tokens were cached]\n",
        stats.generated, stats.tokens_per_forward(), stats.tokens_per_second(),
        prompt_size + static_cast<size_t>(stats.generated),
        engine_.config().max_position_embeddings, stats.cached_tokens, prompt_size);
  }

  const Options& options_;
  ChatFormat format_;
  Engine engine_;
  Session session_;
  Style style_;
  Output output_;
  GenerateOptions generate_options_;
  std::vector<ChatMessage> history_;
  bool interrupted_ = false;
};

}  // namespace

Command add_chat(CLI::App& root) {
  const auto options = std::make_shared<Options>();
  CLI::App& app = *root.add_subcommand("chat", "Talk to a chat model");
  options->model.add_to(app);
  app.add_option("--system", options->system,
                 "System message; by default the chat format's, if any")
      ->type_name("TEXT");
  app.add_flag("--no-thinking", options->no_thinking,
               "Ask for answers without thinking, of models that can do both");
  options->format.add_to(app);
  add_count(app, "-n,--max-tokens", options->max_tokens,
            "Most tokens of an answer; the context may end it before");
  add_color(app, options->color);
  options->decoding.add_to(app);
  app.footer(kExamples);
  return {&app, [options] { return Chat(*options).run(); }};
}

}  // namespace orthrus::cli
