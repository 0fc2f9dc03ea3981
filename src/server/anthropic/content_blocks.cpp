#include "server/anthropic/content_blocks.h"

#include <fmt/format.h>

#include <utility>

namespace orthrus::server::anthropic {
namespace {

using Kind = Delta::Kind;

// A block without what its deltas add.
Json empty_block(const Delta& first) {
  switch (first.kind) {
    case Kind::kReasoning:
      return {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}};
    case Kind::kContent:
      return {{"type", "text"}, {"text", ""}};
    default:
      return {
          {"type", "tool_use"}, {"id", first.id}, {"name", first.text}, {"input", Json::object()}};
  }
}

bool is_call(Kind kind) {
  return kind == Kind::kCall || kind == Kind::kArguments;
}

Json delta_json(const Delta& delta) {
  switch (delta.kind) {
    case Kind::kReasoning:
      return {{"type", "thinking_delta"}, {"thinking", delta.text}};
    case Kind::kContent:
      return {{"type", "text_delta"}, {"text", delta.text}};
    default:
      return {{"type", "input_json_delta"}, {"partial_json", delta.text}};
  }
}

}  // namespace

std::string event(const Json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", data["type"].get<std::string>(), to_text(data));
}

void ContentBlocks::add(std::span<const Delta> deltas) {
  for (const Delta& delta : deltas) {
    if (delta.kind == Kind::kArguments) {
      arguments_ += delta.text;
      continue;
    }
    const char* const member = delta.kind == Kind::kReasoning ? "thinking" : "text";
    if (delta.kind == Kind::kCall || blocks_.empty() || !blocks_.back().contains(member)) {
      end_call();
      blocks_.push_back(empty_block(delta));
    }
    if (delta.kind != Kind::kCall) blocks_.back()[member].get_ref<std::string&>() += delta.text;
  }
}

void ContentBlocks::end_call() {
  if (arguments_.empty()) return;
  Json input = Json::parse(std::exchange(arguments_, {}), nullptr, /*allow_exceptions=*/false);
  if (input.is_object()) blocks_.back()["input"] = std::move(input);
}

Json ContentBlocks::take() {
  end_call();
  return std::exchange(blocks_, Json::array());
}

std::string ContentEvents::put(std::span<const Delta> deltas) {
  std::string events;
  for (const Delta& delta : deltas) {
    const Kind kind = is_call(delta.kind) ? Kind::kArguments : delta.kind;
    if (!is_open_ || delta.kind == Kind::kCall || kind != kind_) {
      events += finish();
      is_open_ = true;
      kind_ = kind;
      events += event({{"type", "content_block_start"},
                       {"index", ++index_},
                       {"content_block", empty_block(delta)}});
    }
    if (delta.kind == Kind::kCall) continue;
    events +=
        event({{"type", "content_block_delta"}, {"index", index_}, {"delta", delta_json(delta)}});
  }
  return events;
}

std::string ContentEvents::finish() {
  if (!std::exchange(is_open_, false)) return "";
  std::string events;
  if (kind_ == Kind::kReasoning) {
    events = event({{"type", "content_block_delta"},
                    {"index", index_},
                    {"delta", {{"type", "signature_delta"}, {"signature", ""}}}});
  }
  return events + event({{"type", "content_block_stop"}, {"index", index_}});
}

}  // namespace orthrus::server::anthropic
