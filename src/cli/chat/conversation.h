// A chat at a terminal: messages, commands and replies by turns.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/chat/chat_commands.h"
#include "cli/chat/message_reader.h"
#include "cli/chat/responder.h"
#include "cli/chat/settings.h"
#include "cli/output.h"
#include "cli/terminal.h"

namespace orthrus::cli {

// Where messages come from.
struct Keyboard {
  ReadLine read_line;
  std::function<void(const std::string&)> remember;  // for the up arrow
};

class ConversationLoop {
 public:
  // All must outlive the loop.
  ConversationLoop(Responder& responder, ChatSettings& settings, std::optional<std::string> system,
                   Style style, Keyboard keyboard);

  // Until the person ends it; returns the exit code.
  int run();

 private:
  enum class Next { kGoOn, kEnd };

  Next obey(const ChatCommand& command);
  void send(std::string message);
  // The last message, a user's. False when the reply was interrupted before it began.
  bool answer();
  void retry();
  void load(const std::string& argument);
  void save(const std::string& argument);
  void set(const std::string& argument);
  void set_system(const std::string& argument);
  void clear();
  std::string stats() const;
  bool answered() const { return !messages_.empty() && messages_.back().role == "assistant"; }

  Responder* responder_;
  ChatSettings* settings_;
  std::optional<std::string> system_;
  Style style_;
  Keyboard keyboard_;
  Output output_;
  std::vector<ChatMessage> messages_;  // the system message, if there is one, first
  std::optional<Reply> last_;
  int ended_ = 0;  // the exit code when a signal but Ctrl-C ended a reply, and so the chat

  // Of all replies so far.
  int replies_ = 0, generated_ = 0, passes_ = 0;
  size_t prompt_tokens_ = 0, cached_ = 0;
  double seconds_ = 0;
};

}  // namespace orthrus::cli
