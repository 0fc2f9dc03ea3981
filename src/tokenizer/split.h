// Splits a text into the pieces that BPE encodes one by one, by a regular expression.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace orthrus {

// Immutable after construction; safe to use from many threads.
class SplitPattern {
 public:
  // Compiles `pattern`, which stands in the file `name`; Error(kFile) when it is not valid.
  SplitPattern(std::string_view pattern, std::string name);
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;
  ~SplitPattern();

  // Each match is a piece, and so is what stands between two: together they are `text`, which must
  // be UTF-8. Throws Error(kFile) when the pattern needs unreasonably many steps for this text.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Code;
  std::unique_ptr<const Code> code_;
};

}  // namespace orthrus
