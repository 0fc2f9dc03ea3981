#include "server/openai/chat_choice.h"

#include <algorithm>
#include <utility>

#include "server/openai/logprobs.h"

namespace orthrus::server::openai {
namespace {

Json call_json(const Delta& begin) {
  return {{"index", begin.index},
          {"id", begin.id},
          {"type", "function"},
          {"function", {{"name", begin.text}, {"arguments", ""}}}};
}

// The piece of a call that a delta belongs to; one that began in an earlier piece has no name here.
Json& call_of(Json& calls, const Delta& delta) {
  if (calls.empty() || calls.back()["index"] != delta.index) {
    calls.push_back({{"index", delta.index}, {"function", {{"arguments", ""}}}});
  }
  return calls.back();
}

void append(Json& object, const char* name, const std::string& text) {
  Json& member = object[name];
  if (!member.is_string()) member = "";
  member.get_ref<std::string&>() += text;
}

}  // namespace

ChatChoice::ChatChoice(const Tokenizer* tokenizer, ChatChoiceOptions options)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      parser_(options_.output),
      trace_(tokenizer) {
  if (!options_.begun.empty()) add(parser_.put(options_.begun));
}

void ChatChoice::put(const Step& step) {
  seen_ += step.text.size();
  add(parser_.put(step.text));
  if (shows_tokens()) add_tokens(trace_.put(step));
}

void ChatChoice::finish(const Generation& generation) {
  add(parser_.put(
      std::string_view(generation.text).substr(std::min(seen_, generation.text.size()))));
  add(parser_.finish());
  if (shows_tokens()) add_tokens(trace_.finish(generation));
}

Json ChatChoice::opening() const {
  return {{"delta", {{"role", "assistant"}, {"content", ""}}}, {"logprobs", nullptr}};
}

bool ChatChoice::has_delta() const {
  return !deltas_.empty() || (shows_tokens() && !tokens_.empty());
}

Json ChatChoice::take_delta() {
  Json delta = Json::object();
  for (const Delta& piece : std::exchange(deltas_, {})) {
    switch (piece.kind) {
      case Delta::Kind::kReasoning:
        append(delta, "reasoning_content", piece.text);
        break;
      case Delta::Kind::kContent:
        append(delta, "content", piece.text);
        break;
      case Delta::Kind::kCall:
        if (!delta.contains("tool_calls")) delta["tool_calls"] = Json::array();
        delta["tool_calls"].push_back(call_json(piece));
        break;
      case Delta::Kind::kArguments:
        if (!delta.contains("tool_calls")) delta["tool_calls"] = Json::array();
        append(call_of(delta["tool_calls"], piece)["function"], "arguments", piece.text);
        break;
    }
  }
  Json members = Json::object();
  members["delta"] = std::move(delta);
  take_tokens(members);
  return members;
}

Json ChatChoice::take_whole() {
  OutputMessage output;
  output.add(std::exchange(deltas_, {}));
  Json message = {{"role", "assistant"}, {"content", output.content}, {"refusal", nullptr}};
  if (output.content.empty() && !output.calls.empty()) message["content"] = nullptr;
  if (!output.reasoning.empty()) message["reasoning_content"] = output.reasoning;
  for (const OutputCall& call : output.calls) {
    message["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  Json members = Json::object();
  members["message"] = std::move(message);
  take_tokens(members);
  return members;
}

std::string_view ChatChoice::finish_reason(const Generation& generation) const {
  const bool stopped = generation.finish_reason == FinishReason::kStop;
  return stopped && parser_.calls() > 0 ? "tool_calls" : Choice::finish_reason(generation);
}

// Up to the token that closes the thinking, where it is open, or opened at once.
int ChatChoice::reasoning_tokens(const Generation& generation) const {
  if (!options_.output.reasoning || tokenizer_ == nullptr) return 0;
  const std::vector<int32_t>& ids = generation.output_ids;
  const auto open = tokenizer_->find_added("<think>");
  const auto close = tokenizer_->find_added("</think>");
  const bool thinks =
      options_.output.thinking_open || (open && !ids.empty() && ids.front() == *open);
  if (!thinks || !close) return 0;
  const auto end = std::find(ids.begin(), ids.end(), *close);
  return static_cast<int>(end - ids.begin()) + (end != ids.end() ? 1 : 0);
}

void ChatChoice::add(std::vector<Delta> deltas) {
  std::move(deltas.begin(), deltas.end(), std::back_inserter(deltas_));
}

void ChatChoice::add_tokens(std::vector<ShownToken> tokens) {
  std::move(tokens.begin(), tokens.end(), std::back_inserter(tokens_));
}

void ChatChoice::take_tokens(Json& members) {
  const std::vector<ShownToken> tokens = std::exchange(tokens_, {});
  members["logprobs"] = nullptr;
  if (options_.logprobs && !tokens.empty()) members["logprobs"] = chat_logprobs(tokenizer_, tokens);
  if (options_.return_token_ids) members["token_ids"] = token_ids(tokens);
}

}  // namespace orthrus::server::openai
