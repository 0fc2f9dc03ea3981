#include "server/output/parser.h"

#include <algorithm>
#include <utility>

namespace orthrus::server {
namespace {

constexpr std::string_view kThinkOpen = "<think>";
constexpr std::string_view kThinkClose = "</think>";

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

}  // namespace

OutputParser::OutputParser(OutputOptions options)
    : options_(std::move(options)),
      state_(options_.reasoning || options_.thinking_open ? State::kStart : State::kContent) {}

std::vector<Delta> OutputParser::put(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (state_ == State::kContent && !options_.tools) {
      add(Delta::Kind::kContent, text.substr(i));
      break;
    }
    put_char(text[i]);
  }
  return std::exchange(deltas_, {});
}

void OutputParser::put_char(char c) {
  switch (state_) {
    case State::kStart:
      return put_start(c);
    case State::kReasoning:
      return put_reasoning(c);
    case State::kAnswer:
      if (c != '\n') again(State::kContent, std::string(1, c));
      return;
    case State::kContent:
      return put_content(c);
    case State::kCall:
      return put_call(c);
    case State::kBroken:
      return put_broken(c);
    case State::kAfterCall:
      return put_after_call(c);
    case State::kDone:
      return;
  }
}

void OutputParser::put_start(char c) {
  held_ += c;
  if (tag_ + 1 == held_.size() && is_space(c)) {
    ++tag_;
    return;
  }
  const std::string_view seen = std::string_view(held_).substr(tag_);
  if (seen == kThinkOpen) {
    take_held();
    state_ = State::kReasoning;
  } else if (!kThinkOpen.starts_with(seen)) {
    leave_start();
  }
}

void OutputParser::leave_start() {
  again(options_.thinking_open ? State::kReasoning : State::kContent, take_held());
}

void OutputParser::put_reasoning(char c) {
  held_ += c;
  while (!held_.empty()) {
    if (held_ == kThinkClose) {
      held_.clear();
      newlines_ = 0;
      state_ = State::kAnswer;
    } else if (held_[0] == '\n') {
      held_.erase(0, 1);
      if (thought_) ++newlines_;
    } else if (kThinkClose.starts_with(held_)) {
      return;
    } else {
      add_newlines(std::exchange(newlines_, 0));
      add(Delta::Kind::kReasoning, held_.substr(0, 1));
      held_.erase(0, 1);
      thought_ = true;
    }
  }
}

void OutputParser::put_content(char c) {
  static constexpr Opener kOpeners[] = {
      {"<tool_call>", "</tool_call>", true},
      {"```json\n{", "```", false},
      {"```\n{", "```", false},
      {"{", "", false},
  };
  held_ += c;
  while (!held_.empty()) {
    if (held_[0] == '\n') {
      held_.erase(0, 1);
      ++newlines_;
      continue;
    }
    const bool untagged = !options_.untagged.empty() && (line_start_ || newlines_ > 0);
    bool may_open = false;
    for (const Opener& opener : kOpeners) {
      if (!(opener.tagged || untagged) || !opener.text.starts_with(held_)) continue;
      if (held_.size() == opener.text.size()) return begin_call(opener, take_held());
      may_open = true;
    }
    if (may_open) return;
    add_newlines(std::exchange(newlines_, 0));
    add(Delta::Kind::kContent, held_.substr(0, 1));
    held_.erase(0, 1);
    wrote_ = true;
    line_start_ = false;
  }
}

// `raw` is what has been seen of the call; an opener without tag ends with the call's first brace.
void OutputParser::begin_call(const Opener& opener, std::string raw) {
  opener_ = &opener;
  const char mark = opener.closer.empty() ? '\0' : opener.closer[0];
  call_.emplace(opener.tagged ? nullptr : &options_.untagged, mark);
  state_ = State::kCall;
  const bool has_brace = raw.ends_with('{');
  if (has_brace) raw.pop_back();
  call_raw_ = std::move(raw);
  if (has_brace) put_call('{');
}

void OutputParser::put_call(char c) {
  const bool had_begun = call_->begun();
  std::string arguments;
  const CallScanner::Result result = call_->put(c, arguments);
  if (!had_begun && call_->begun()) {
    const size_t newlines = std::exchange(newlines_, 0);
    if (wrote_ && newlines > 0) add_newlines(newlines - 1);
    wrote_ = false;
    deltas_.push_back({.kind = Delta::Kind::kCall,
                       .text = call_->name(),
                       .index = calls_,
                       .id = options_.call_id + std::to_string(calls_)});
    ++calls_;
  }
  if (!arguments.empty()) add(Delta::Kind::kArguments, arguments);
  switch (result) {
    case CallScanner::Result::kMore:
      return;
    case CallScanner::Result::kEnd:
      return end_call();
    case CallScanner::Result::kEndBefore:
      end_call();
      return put_char(c);
    case CallScanner::Result::kMalformed:
      if (call_->begun()) {
        end_call(/*broken=*/true);
        put_char(c);
      } else {
        refuse_call();
        put_char(c);
      }
  }
}

void OutputParser::end_call(bool broken) {
  call_.reset();
  line_start_ = true;
  if (broken && !opener_->closer.empty()) {
    state_ = State::kBroken;
  } else if (!options_.parallel_calls) {
    state_ = State::kDone;
  } else {
    state_ = opener_->closer.empty() ? State::kContent : State::kAfterCall;
  }
}

// What was taken for a call is content.
void OutputParser::refuse_call() {
  const std::string text = call_raw_ + call_->raw();
  call_.reset();
  state_ = State::kContent;
  if (text.empty()) return;
  add_newlines(std::exchange(newlines_, 0));
  add(Delta::Kind::kContent, text);
  wrote_ = true;
  line_start_ = text.ends_with('\n');
}

void OutputParser::put_broken(char c) {
  held_ += c;
  while (!held_.empty()) {
    if (held_ == opener_->closer) {
      take_held();
      state_ = options_.parallel_calls ? State::kContent : State::kDone;
      return;
    }
    if (opener_->closer.starts_with(held_)) return;
    add(Delta::Kind::kArguments, held_.substr(0, 1));
    held_.erase(0, 1);
  }
}

// Models may write a brace too many.
void OutputParser::put_after_call(char c) {
  held_ += c;
  if (tag_ + 1 == held_.size() && (is_space(c) || c == '}')) {
    ++tag_;
    return;
  }
  const std::string_view seen = std::string_view(held_).substr(tag_);
  if (seen == opener_->closer) {
    take_held();
    state_ = State::kContent;
  } else if (seen == "{") {
    begin_call(*opener_, take_held());
  } else if (!opener_->closer.starts_with(seen)) {
    again(State::kContent, take_held());
  }
}

std::string OutputParser::take_held() {
  tag_ = 0;
  return std::exchange(held_, {});
}

void OutputParser::again(State state, std::string text) {
  state_ = state;
  for (const char c : text) put_char(c);
}

std::vector<Delta> OutputParser::finish() {
  if (state_ == State::kStart) leave_start();
  if (state_ == State::kCall && !call_->begun()) refuse_call();
  if (state_ == State::kReasoning && !held_.empty()) {
    add_newlines(newlines_);
    add(Delta::Kind::kReasoning, held_);
  }
  if (state_ == State::kContent) {
    const bool has_text = wrote_ || !held_.empty() || calls_ == 0;
    if (has_text) add_newlines(newlines_);
    add(Delta::Kind::kContent, held_);
  }
  state_ = State::kDone;
  return std::exchange(deltas_, {});
}

void OutputParser::add(Delta::Kind kind, std::string_view text) {
  if (text.empty()) return;
  const bool is_arguments = kind == Delta::Kind::kArguments;
  if (deltas_.empty() || deltas_.back().kind != kind) {
    deltas_.push_back({.kind = kind, .index = is_arguments ? calls_ - 1 : 0});
  }
  deltas_.back().text += text;
}

void OutputParser::add_newlines(size_t count) {
  add(state_ == State::kReasoning ? Delta::Kind::kReasoning : Delta::Kind::kContent,
      std::string(count, '\n'));
}

void OutputMessage::add(std::span<const Delta> deltas) {
  for (const Delta& delta : deltas) {
    switch (delta.kind) {
      case Delta::Kind::kReasoning:
        reasoning += delta.text;
        break;
      case Delta::Kind::kContent:
        content += delta.text;
        break;
      case Delta::Kind::kCall:
        calls.push_back({delta.id, delta.text, ""});
        break;
      case Delta::Kind::kArguments:
        calls.back().arguments += delta.text;
    }
  }
}

}  // namespace orthrus::server
