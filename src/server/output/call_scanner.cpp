#include "server/output/call_scanner.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace orthrus::server {
namespace {

using nlohmann::json;
using Scan = JsonScanner::Result;

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// The text that a JSON string stands for; nothing for one that stands for none (half of a
// surrogate pair).
std::optional<std::string> decoded(const std::string& json_string) {
  json value = json::parse(json_string, nullptr, /*allow_exceptions=*/false);
  if (!value.is_string()) return std::nullopt;
  return std::move(value.get_ref<std::string&>());
}

// The object that a string holds, without white space around it; nothing where there is none.
std::optional<std::string> object_in(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  if (!text.starts_with('{')) return std::nullopt;
  JsonScanner scanner;
  std::string object;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool in_string = scanner.in_string();
    const Scan scan = scanner.put(text[i]);
    append_json(object, text[i], in_string);
    if (scan == Scan::kEnd && i + 1 == text.size()) return object;
    if (scan != Scan::kMore) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

CallScanner::Result CallScanner::put(char c, std::string& arguments) {
  const Result result = take(c, arguments);
  if (result == Result::kMalformed || result == Result::kEndBefore) return result;
  if (begun_) {
    raw_.clear();
  } else {
    raw_ += c;
  }
  return result;
}

CallScanner::Result CallScanner::take(char c, std::string& arguments) {
  if (state_ == State::kInKey || state_ == State::kInValue) return take_in_value(c, arguments);
  return is_space(c) ? Result::kMore : take_outside(c, arguments);
}

CallScanner::Result CallScanner::take_outside(char c, std::string& arguments) {
  const auto move_to = [this](State next, bool allowed) {
    state_ = next;
    return allowed ? Result::kMore : Result::kMalformed;
  };
  const bool begins_key = state_ == State::kKey || state_ == State::kKeyOrEnd;
  if (state_ == State::kOpen) return move_to(State::kKeyOrEnd, c == '{');
  if (state_ == State::kColon) return move_to(State::kValue, c == ':');
  if (state_ == State::kAfter && c == ',') return move_to(State::kKey, true);
  if (c == '}' && (state_ == State::kAfter || state_ == State::kKeyOrEnd)) return close(arguments);
  if (state_ == State::kAfter && begun_ && mark_ != '\0' && c == mark_) return Result::kEndBefore;
  if (begins_key ? c != '"' : state_ == State::kAfter || !begin_value(c)) return Result::kMalformed;
  scanner_ = JsonScanner();
  text_.clear();
  state_ = begins_key ? State::kInKey : State::kInValue;
  return take_in_value(c, arguments);
}

// What a value of this key may begin with.
bool CallScanner::begin_value(char c) {
  value_ = Value::kOther;
  if (key_ == "name" && !has_name_) {
    value_ = Value::kName;
    return c == '"';
  }
  if (key_ == "arguments" && !has_arguments_) {
    value_ = c == '{' ? Value::kObject : c == '"' ? Value::kText : Value::kNull;
    return c == '{' || c == '"' || c == 'n';
  }
  return true;
}

CallScanner::Result CallScanner::take_in_value(char c, std::string& arguments) {
  const bool in_string = scanner_.in_string();
  const Scan scan = scanner_.put(c);
  if (scan == Scan::kMalformed) return Result::kMalformed;
  if (scan == Scan::kEndBefore) {  // a number, of a key that says nothing
    state_ = State::kAfter;
    return take(c, arguments);
  }
  const bool is_key = state_ == State::kInKey;
  if (is_key || value_ == Value::kName || value_ == Value::kText) {
    append_json(text_, c, in_string);
  } else if (value_ == Value::kObject) {
    append_json(begun_ ? arguments : arguments_, c, in_string);
    // Not at '{' alone: what follows it may still show that this is no JSON.
    if (arguments_.size() > 1 && !is_space(c)) has_arguments_ = true;
    begin_if_ready(arguments);
  }
  if (scan != Scan::kEnd) return Result::kMore;
  if (is_key) {
    const auto key = decoded(text_);
    if (!key) return Result::kMalformed;
    key_ = *key;
    state_ = State::kColon;
    return Result::kMore;
  }
  state_ = State::kAfter;
  return end_value(arguments) ? Result::kMore : Result::kMalformed;
}

bool CallScanner::end_value(std::string& arguments) {
  if (value_ == Value::kName) {
    const auto name = decoded(text_);
    if (!name || name->empty()) return false;
    if (names_ != nullptr && std::find(names_->begin(), names_->end(), *name) == names_->end()) {
      return false;
    }
    name_ = *name;
    has_name_ = true;
  } else if (value_ == Value::kText) {
    const auto text = decoded(text_);
    const auto object = text ? object_in(*text) : std::nullopt;
    if (!object) return false;
    arguments_ = *object;
    has_arguments_ = true;
  } else if (value_ == Value::kNull) {
    arguments_ = "{}";
    has_arguments_ = true;
  }
  begin_if_ready(arguments);
  return true;
}

void CallScanner::begin_if_ready(std::string& arguments) {
  if (begun_ || !has_name_ || !has_arguments_) return;
  begun_ = true;
  arguments += arguments_;
  arguments_.clear();
}

CallScanner::Result CallScanner::close(std::string& arguments) {
  if (!has_name_ || (!has_arguments_ && names_ != nullptr)) return Result::kMalformed;
  if (!has_arguments_) {  // a call of a tool that takes none
    arguments_ = "{}";
    has_arguments_ = true;
  }
  begin_if_ready(arguments);
  return Result::kEnd;
}

}  // namespace orthrus::server
