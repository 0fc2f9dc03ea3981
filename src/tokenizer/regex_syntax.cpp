#include "tokenizer/regex_syntax.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <system_error>
#include <vector>

#include "tokenizer/utf8.h"

namespace orthrus {
namespace {

constexpr std::array<std::string_view, 36> kCategories = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd",
    "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
    "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn"};

// To Oniguruma, without regard to case, these are also one character each: two for "ss".
constexpr std::array<std::string_view, 5> kFolded = {"ff", "fi", "fl", "ss", "st"};

constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ";
constexpr std::string_view kControls = "rntfae";  // after a backslash
constexpr std::string_view kSets = "sSdD";        // after a backslash

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

class Reader {
 public:
  explicit Reader(std::string_view pattern) : pattern_(pattern) {}

  std::optional<RegexProblem> find() {
    while (!done() && !problem_) {
      const bool repeatable = read_item();
      if (problem_ || !repeatable || done()) continue;
      if (is_caseless() && std::string_view("*+?{").find(next()) != std::string_view::npos) {
        refuse(at_, 1);
      } else {
        read_repetition();
      }
    }
    return problem_;
  }

 private:
  struct Group {
    bool repeatable;
    bool caseless;
  };
  enum class Member { kOne, kSet, kNone };

  bool done() const { return at_ >= pattern_.size(); }
  char next() const { return pattern_[at_]; }
  std::string_view rest() const { return pattern_.substr(at_); }
  bool is_caseless() const { return !groups_.empty() && groups_.back().caseless; }

  bool skip(std::string_view text) {
    if (!rest().starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  bool refuse(size_t position, size_t length) {
    if (!problem_) {
      problem_ = RegexProblem{position, std::string(pattern_.substr(position, length))};
    }
    return false;
  }

  // What one repetition may follow, if it returns true; a bracket of a group, or what has no width.
  bool read_item() {
    switch (next()) {
      case '(':
        return read_open();
      case ')':
        return read_close();
      case '[':
        return read_class();
      case '\\':
        return read_escape() != Member::kNone;
      case '*':
      case '+':
      case '?':
      case '{':
        return refuse(at_, 1);
      case '|':
      case '^':
      case '$':
        ++at_;
        return false;
      default:
        return read_character();
    }
  }

  bool read_open() {
    constexpr std::array<std::string_view, 4> kWithoutWidth = {"(?=", "(?!", "(?<=", "(?<!"};
    const size_t start = at_;
    if (is_caseless()) return refuse(start, 1);
    Group group{.repeatable = true, .caseless = false};
    if (std::ranges::any_of(kWithoutWidth, [this](std::string_view open) { return skip(open); })) {
      group.repeatable = false;
    } else if (skip("(?i:")) {
      group.caseless = true;
    } else if (!skip("(?:") && !skip("(?>")) {
      ++at_;
      if (!done() && (next() == '?' || next() == '*')) return refuse(start, 4);
    }
    groups_.push_back(group);
    return false;
  }

  bool read_close() {
    ++at_;
    if (groups_.empty()) return false;  // PCRE2 says so
    const bool repeatable = groups_.back().repeatable;
    groups_.pop_back();
    return repeatable;
  }

  // A character that stands for itself.
  bool read_character() {
    const size_t length = first_character(rest()).length;
    if (is_caseless()) {
      if (length > 1) return refuse(at_, length);
      const std::string pair = {lower(next()), rest().size() > 1 ? lower(pattern_[at_ + 1]) : '\0'};
      if (std::ranges::find(kFolded, pair) != kFolded.end()) return refuse(at_, 2);
    }
    at_ += length;
    return true;
  }

  // A backslash and what belongs to it: one character, or a set of them.
  Member read_escape() {
    const size_t start = at_++;
    const char kind = done() ? '\0' : pattern_[at_++];
    if (kind != '\0' && kPunctuation.find(kind) != kPunctuation.npos) return Member::kOne;
    if (!is_caseless()) {
      if (kControls.find(kind) != kControls.npos) return Member::kOne;
      if (kSets.find(kind) != kSets.npos) return Member::kSet;
      if ((kind == 'p' || kind == 'P') && read_category()) return Member::kSet;
      if (kind == 'x' && read_code_point()) return Member::kOne;
    }
    const size_t close = rest().find('}');
    const bool has_braces = !done() && next() == '{' && close < 32;
    refuse(start, has_braces ? at_ - start + close + 1 : 2);
    return Member::kNone;
  }

  // The rest of \p{...}.
  bool read_category() {
    const size_t close = rest().find('}');
    if (!rest().starts_with('{') || close == rest().npos) return false;
    const std::string_view name = rest().substr(1, close - 1);
    if (std::ranges::find(kCategories, name) == kCategories.end()) return false;
    at_ += close + 1;
    return true;
  }

  // The rest of \x{...}, or of \x00 to \x7f: further ones are bytes to Oniguruma.
  bool read_code_point() {
    const bool in_braces = rest().starts_with('{');
    const size_t end = in_braces ? rest().find('}') : 2;
    if (end > rest().size()) return false;
    const std::string_view digits = rest().substr(in_braces, end - in_braces);
    uint32_t value = 0;
    const auto [last, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.empty() || error != std::errc() || last != digits.data() + digits.size() ||
        value >= (in_braces ? 0x110000u : 0x80u)) {
      return false;
    }
    at_ += end + in_braces;
    return true;
  }

  bool read_class() {
    const size_t start = at_++;
    skip("^");
    if (!done() && next() == ']') return refuse(start, at_ + 1 - start);
    while (!done() && next() != ']') {
      if (!read_member()) return false;
    }
    if (!done()) ++at_;
    return true;
  }

  // A character, a range of them or a set.
  bool read_member() {
    const size_t start = at_;
    Member member = read_class_character();
    if (member == Member::kNone) return false;
    const auto goes_on = [this] { return rest().size() > 1 && next() == '-' && rest()[1] != ']'; };
    if (!goes_on()) return true;
    const bool first = pattern_[start] == '-';
    if (member == Member::kSet || first) return refuse(start, at_ + 2 - start);
    ++at_;
    member = read_class_character();
    if (problem_) return false;
    if (member == Member::kSet) return refuse(start, at_ - start);
    return !goes_on() || refuse(start, at_ + 1 - start);
  }

  Member read_class_character() {
    if (next() == '\\') return read_escape();
    if (next() == '[') {
      refuse(at_, 2);
    } else if (rest().starts_with("&&")) {
      refuse(at_, 2);
    } else {
      const size_t length = first_character(rest()).length;
      if (is_caseless() && length > 1) refuse(at_, length);
      at_ += length;
    }
    return problem_ ? Member::kNone : Member::kOne;
  }

  // *, +, ? or {m,n}, if there is one, with what makes it lazy or possessive.
  void read_repetition() {
    const size_t start = at_;
    if (skip("*") || skip("+") || skip("?")) {
      if (!skip("?")) skip("+");
    } else if (next() == '{') {
      read_interval();
    }
    if (at_ > start && !done() && std::string_view("*+?{").find(next()) != std::string_view::npos) {
      refuse(start, at_ + 1 - start);
    }
  }

  // {m}, {m,} or {m,n}. A ? after it is lazy to both but for {m}, and a + possessive to one.
  void read_interval() {
    const size_t start = at_++;
    const auto number = [this] {
      const size_t digits = at_;
      while (!done() && is_digit(next())) ++at_;
      return pattern_.substr(digits, at_ - digits);
    };
    const auto value = [](std::string_view digits) {
      int parsed = -1;
      if (digits.size() < 6) std::from_chars(digits.data(), digits.data() + digits.size(), parsed);
      return parsed;
    };
    const std::string_view least = number();
    const bool has_comma = skip(",");
    const std::string_view most = has_comma ? number() : least;
    const bool closed = skip("}");
    const bool in_order = most.empty() || value(most) >= value(least);
    if (!closed || value(least) < 0 || !in_order) {
      refuse(start, std::max<size_t>(at_ - start, 2));
    } else if (has_comma) {
      skip("?");
    }
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::vector<Group> groups_;  // that are open
  std::optional<RegexProblem> problem_;
};

}  // namespace

std::optional<RegexProblem> find_regex_problem(std::string_view pattern) {
  return Reader(pattern).find();
}

}  // namespace orthrus
