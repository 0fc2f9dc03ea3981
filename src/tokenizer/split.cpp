#include "tokenizer/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "files/display.h"
#include "orthrus/error.h"
#include "tokenizer/split_age.h"
#include "tokenizer/utf8.h"

namespace orthrus {
namespace {

// These patterns are written for Oniguruma, to which ^ and $ always mean lines. Anchored, so that
// the steps of one match() are those of one place in the text. \C would match half a character.
constexpr uint32_t kOptions =
    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C;
constexpr size_t kLongestPattern = 1 << 16;
constexpr uint32_t kHeapLimit = 1 << 18;  // KiB

// A match is tried with few steps first, then with ever more. The tries with more are paid for from
// a budget in proportion to the text: real patterns need up to 6 a byte, in long runs of spaces,
// and one that backtracks without end is stopped soon, however often it just misses a limit.
constexpr uint32_t kFreeSteps = 64;
constexpr uint64_t kBudget = 1'000'000;
constexpr uint64_t kBudgetPerByte = 32;
constexpr uint64_t kMostSteps = std::numeric_limits<uint32_t>::max();

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* pointer) const {
    free(pointer);
  }
};

using CodePtr = std::unique_ptr<pcre2_code, Free<pcre2_code_free>>;
using CompileContextPtr = std::unique_ptr<pcre2_compile_context, Free<pcre2_compile_context_free>>;
using MatchContextPtr = std::unique_ptr<pcre2_match_context, Free<pcre2_match_context_free>>;
using MatchDataPtr = std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>>;

template <typename Pointer>
Pointer checked(Pointer pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}

PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

std::string explain(int error) {
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(error, message.data(), message.size());
  return reinterpret_cast<const char*>(message.data());
}

// The text that PCRE2 is shown, as long as `text`, if it has characters that PCRE2 takes for
// others.
std::optional<std::string> shown_to_pcre2(std::string_view text) {
  constexpr unsigned char kFirstLead = 0xe0;  // of all of them
  std::optional<std::string> copy;
  for (size_t position = 0; position < text.size();) {
    if (static_cast<unsigned char>(text[position]) < kFirstLead) {
      ++position;
      continue;
    }
    const Utf8Character character = first_character(text.substr(position));
    const char32_t known = known_to_pcre2(character.code_point);
    if (known != character.code_point) {
      if (!copy) copy = text;
      std::string bytes;
      append_utf8(bytes, known);
      copy->replace(position, character.length, bytes);
    }
    position += character.length;
  }
  return copy;
}

// The matching of one pattern against one text.
class Matcher {
 public:
  Matcher(const pcre2_code* code, std::string_view text, const std::string& name)
      : code_(code),
        text_(text),
        name_(name),
        context_(checked(pcre2_match_context_create(nullptr))),
        data_(checked(pcre2_match_data_create(1, nullptr))),
        budget_(kBudget + kBudgetPerByte * text.size()) {
    pcre2_set_heap_limit(context_.get(), kHeapLimit);
  }

  struct Match {
    size_t begin;
    size_t end;
  };

  // The match that starts at `position`.
  std::optional<Match> match_at(size_t position) {
    int result = try_at(position, kFreeSteps);
    for (uint64_t steps = kFreeSteps * 4; result == PCRE2_ERROR_MATCHLIMIT; steps *= 4) {
      if (steps > std::min(budget_, kMostSteps)) fail(position, "it needs too many steps");
      budget_ -= steps;
      result = try_at(position, static_cast<uint32_t>(steps));
    }
    if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
    if (result < 0) fail(position, explain(result));
    const size_t* bounds = pcre2_get_ovector_pointer(data_.get());
    return Match{bounds[0], bounds[1]};
  }

 private:
  int try_at(size_t position, uint32_t steps) {
    pcre2_set_match_limit(context_.get(), steps);
    const int result = run(position, PCRE2_NO_UTF_CHECK);
    if (result != PCRE2_ERROR_JIT_STACKLIMIT) return result;
    return run(position, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
  }

  int run(size_t position, uint32_t options) {
    return pcre2_match(code_, units(text_), text_.size(), position, options, data_.get(),
                       context_.get());
  }

  [[noreturn]] void fail(size_t position, std::string_view why) const {
    throw Error(
        ErrorKind::kFile,
        fmt::format("{}: the split pattern of pre_tokenizer cannot be matched at byte {} of "
                    "a text of {} bytes: {}.",
                    name_, position, text_.size(), why));
  }

  const pcre2_code* code_;
  std::string_view text_;
  const std::string& name_;
  MatchContextPtr context_;
  MatchDataPtr data_;
  uint64_t budget_;
};

}  // namespace

struct SplitPattern::Code {
  CodePtr regex;
  std::string name;
};

SplitPattern::SplitPattern(std::string_view pattern, std::string name) {
  CompileContextPtr context(checked(pcre2_compile_context_create(nullptr)));
  pcre2_set_max_pattern_length(context.get(), kLongestPattern);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);  // to Oniguruma only \n ends a line
  int error = 0;
  size_t offset = 0;
  CodePtr regex(
      pcre2_compile(units(pattern), pattern.size(), kOptions, &error, &offset, context.get()));
  if (regex == nullptr) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: the split pattern of pre_tokenizer is {}, which is not a valid "
                            "regular expression: {} (at byte {}).",
                            name, in_quotes(pattern), explain(error), offset));
  }
  pcre2_jit_compile(regex.get(), PCRE2_JIT_COMPLETE);  // without JIT it is only slower
  code_ = std::make_unique<const Code>(Code{std::move(regex), std::move(name)});
}

SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&&) noexcept = default;
SplitPattern::~SplitPattern() = default;

std::vector<std::string_view> SplitPattern::split(std::string_view text) const {
  const std::optional<std::string> shown = shown_to_pcre2(text);
  Matcher matcher(code_->regex.get(), shown ? *shown : text, code_->name);
  std::vector<std::string_view> pieces;
  size_t done = 0;
  const auto cut_at = [&](size_t end) {
    if (end > done) pieces.push_back(text.substr(done, end - done));
    done = end;
  };
  for (size_t position = 0; position < text.size();) {
    const auto match = matcher.match_at(position);
    if (match) {
      cut_at(match->begin);
      cut_at(match->end);
    }
    if (match && match->end > position) {
      position = match->end;
    } else {  // no match, or an empty one, which cuts too
      position += first_character(text.substr(position)).length;
    }
  }
  cut_at(text.size());
  return pieces;
}

}  // namespace orthrus
