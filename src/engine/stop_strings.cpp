#include "engine/stop_strings.h"

#include <algorithm>
#include <cstddef>

namespace orthrus {

std::string StopStrings::put(std::string_view more) {
  return take(more, false);
}

std::string StopStrings::put_hidden(std::string_view name) {
  return take(name, true);
}

std::string StopStrings::finish() {
  return release(held_.size());
}

std::string StopStrings::take(std::string_view more, bool hidden) {
  if (found()) return {};
  held_ += more;
  hidden_.resize(held_.size(), hidden);
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t place = held_.find(stop);
    const bool longer = place == first && which_ != nullptr && stop.size() > which_->size();
    if (place == std::string::npos || (place >= first && !longer)) continue;
    first = place;
    which_ = &stop;
  }
  if (first != std::string::npos) {
    std::string before = release(first);
    release(held_.size());
    return before;
  }
  size_t keep = 0;  // the longest end of the text that begins a stop string
  for (const std::string& stop : stops_) {
    size_t length = std::min(stop.size() - 1, held_.size());
    while (length > keep && !held_.ends_with(std::string_view(stop).substr(0, length))) --length;
    keep = std::max(keep, length);
  }
  return release(held_.size() - keep);
}

// The text of the first `count` bytes held, which are held no longer.
std::string StopStrings::release(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    if (!hidden_[i]) text += held_[i];
  }
  held_.erase(0, count);
  hidden_.erase(hidden_.begin(), hidden_.begin() + static_cast<std::ptrdiff_t>(count));
  return text;
}

}  // namespace orthrus
