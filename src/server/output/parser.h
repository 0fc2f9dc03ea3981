// The text of an answer, as the model writes it, into thinking, content and calls of tools.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/chat.h"
#include "server/output/call_scanner.h"
#include "server/output/delta.h"

namespace orthrus::server {

struct OutputOptions {
  bool reasoning = false;         // the text may begin with <think>...</think>
  bool thinking_open = false;     // ... whose <think> is the prompt's
  bool tools = false;             // the text may call tools
  bool parallel_calls = true;     // false: what follows the first call is dropped
  std::string call_id = "call_";  // how ids of calls begin; the call's index follows
  // Tools that may also be called without tags, as Qwen2.5-Coder does: by the JSON object alone, at
  // the beginning of a line, or in a code block of nothing else.
  std::vector<std::string> untagged{};
};

// Reads Qwen's format, that of Hermes:
//
//   <think>
//   thinking
//   </think>
//
//   content
//   <tool_call>
//   {"name": "get_weather", "arguments": {"city": "Paris"}}
//   </tool_call>
//
// Newlines at both ends of the thinking are left out, those before the content, and what the chat
// template puts before a call: one newline, or all where there is no text. A call has its keys in
// any order; its arguments are an object, or a string that holds one, null or left out, which is
// {}. Their text is as the model wrote it, but for control characters in strings, which come
// escaped. A tag may hold several objects; its end, and a call's last brace before it, may be
// missing. There are no calls in the thinking; in code blocks of the content there are, since
// models put calls there.
//
// What is no call is content, tag included. Since the arguments are passed on while they are
// written, a call that is cut off in them stays a call, with those so far; and one whose arguments
// turn out to be no JSON has, as arguments, all that stands before the tag's end.
//
// However the text is cut, the deltas come to the same. Tags never show, what may become one is
// held back. Takes time and memory in proportion to the text.
class OutputParser {
 public:
  explicit OutputParser(OutputOptions options);

  std::vector<Delta> put(std::string_view text);
  // The rest, at the end of the text; nothing may be put after it.
  std::vector<Delta> finish();

  int calls() const { return calls_; }  // that have begun

 private:
  enum class State : uint8_t {
    kStart,  // before anything but white space, where <think> may stand
    kReasoning,
    kAnswer,  // after the thinking, before the content
    kContent,
    kCall,
    kBroken,     // in arguments that are no JSON
    kAfterCall,  // in a tag or code block, behind an object
    kDone,       // what comes now is dropped
  };
  struct Opener {
    std::string_view text, closer;
    bool tagged;
  };

  void put_char(char c);
  void put_start(char c);
  void put_reasoning(char c);
  void put_content(char c);
  void put_call(char c);
  void put_broken(char c);
  void put_after_call(char c);

  void begin_call(const Opener& opener, std::string raw);
  void end_call(bool broken = false);
  void refuse_call();
  void leave_start();
  std::string take_held();
  void again(State state, std::string text);
  void add(Delta::Kind kind, std::string_view text);
  void add_newlines(size_t count);

  OutputOptions options_;
  State state_;
  std::vector<Delta> deltas_;

  // Held back: newlines; then, in held_, the beginning of a tag, in some states with what may stand
  // before it.
  size_t newlines_ = 0;
  std::string held_;
  size_t tag_ = 0;  // where the tag begins in held_

  bool thought_ = false;    // the thinking has text
  bool wrote_ = false;      // there is content since the last call, or the beginning
  bool line_start_ = true;  // of held_, without newlines before it

  const Opener* opener_ = nullptr;
  std::string call_raw_;  // of a call that has not begun: what stands before its object
  std::optional<CallScanner> call_;
  int calls_ = 0;
};

}  // namespace orthrus::server
