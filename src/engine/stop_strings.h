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

  // The same for the name of a special token: a stop string may have it in it, but it is no text.
  std::string put_hidden(std::string_view name);

  // What was held back, when the text ends without a stop string.
  std::string finish();

  bool found() const { return which_ != nullptr; }
  // The one that was found, the longest of those that begin there; empty without one.
  std::string which() const { return which_ != nullptr ? *which_ : std::string(); }

 private:
  std::string take(std::string_view more, bool hidden);
  std::string release(size_t count);

  std::vector<std::string> stops_;
  std::string held_;
  std::vector<bool> hidden_;            // of each byte held, whether it is no text
  const std::string* which_ = nullptr;  // of stops_
};

}  // namespace orthrus
