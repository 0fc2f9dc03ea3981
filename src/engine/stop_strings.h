// Stop strings: text is let through only once it cannot be the beginning of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace orthrus {

class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The text that `more` makes certain. Once a stop string is found, what stands before the first
  // one, and nothing from then on.
  std::string put(std::string_view more);

  // What was held back, when the text ends without a stop string.
  std::string finish();

  bool found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace orthrus
