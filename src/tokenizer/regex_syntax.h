// Regular expressions are written for Oniguruma, and matched here by PCRE2: of its syntax, what
// means the same to both.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace orthrus {

struct RegexProblem {
  size_t position;        // in bytes
  std::string construct;  // as the pattern has it
};

inline constexpr std::string_view kRegexSyntax =
    "characters, classes of them without nesting or &&, \\s, \\d, \\p{L} and other general "
    "categories, \\r, \\n, \\t, \\x{...}, ., ^, $, |, groups, (?:...), (?>...), (?i:...) of ASCII "
    "letters, lookaround, and *, +, ? and {m,n}, each but the last possessive too";

// The first construct of `pattern`, which must be UTF-8, that is none of those. That the others
// fit together is PCRE2's to say.
std::optional<RegexProblem> find_regex_problem(std::string_view pattern);

}  // namespace orthrus
