// What was meant by a name that does not exist.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace orthrus::cli {

// Of `known`, the name nearest to `word`: one that begins or ends with it ("temp", "tokens"), else
// the one that differs in the fewest letters. "" when none is near. Dashes before a name, the case
// of letters, and "_" for "-" do not matter.
std::string nearest(std::string_view word, std::span<const std::string> known);

// "; did you mean --temperature?", or "." where nothing is near: the end of a sentence.
std::string did_you_mean(std::string_view word, std::span<const std::string> known);

}  // namespace orthrus::cli
