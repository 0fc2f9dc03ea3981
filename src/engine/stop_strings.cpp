#include "engine/stop_strings.h"

#include <algorithm>
#include <utility>

namespace orthrus {

std::string StopStrings::put(std::string_view more) {
  if (found_) return {};
  held_ += more;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    found_ = true;
    held_.resize(first);
    return std::exchange(held_, {});
  }
  size_t keep = 0;  // the longest end of the text that begins a stop string
  for (const std::string& stop : stops_) {
    size_t length = std::min(stop.size() - 1, held_.size());
    while (length > keep && !held_.ends_with(std::string_view(stop).substr(0, length))) --length;
    keep = std::max(keep, length);
  }
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopStrings::finish() {
  return std::exchange(held_, {});
}

}  // namespace orthrus
