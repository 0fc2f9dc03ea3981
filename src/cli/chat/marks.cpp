#include "cli/chat/marks.h"

#include <fmt/core.h>

#include <algorithm>

#include "cli/text.h"

namespace orthrus::cli {

std::string Marks::add(std::string text) {
  for (const auto& [mark, known] : texts_) {
    if (known == text) return mark;
  }
  const auto lines = std::count(text.begin(), text.end(), '\n') + (text.ends_with('\n') ? 0 : 1);
  std::string mark = fmt::format("[text {}: {}, {}]", texts_.size() + 1, counted(lines, "line"),
                                 bytes_in_words(static_cast<int64_t>(text.size())));
  texts_.emplace_back(mark, std::move(text));
  return mark;
}

std::string Marks::expand(std::string_view line) const {
  std::string expanded;
  while (!line.empty()) {
    const size_t bracket = std::min(line.find('['), line.size());
    expanded += line.substr(0, bracket);
    line.remove_prefix(bracket);
    if (line.empty()) break;
    const auto found = std::find_if(texts_.begin(), texts_.end(), [line](const auto& text) {
      return line.starts_with(text.first);
    });
    const size_t taken = found == texts_.end() ? 1 : found->first.size();
    expanded += found == texts_.end() ? line.substr(0, 1) : std::string_view(found->second);
    line.remove_prefix(taken);
  }
  return expanded;
}

}  // namespace orthrus::cli
