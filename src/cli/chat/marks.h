// Texts too long to be drawn in the line that is typed: in it stands a mark for each.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orthrus::cli {

class Marks {
 public:
  // "[text 1: 60 lines, 1.1 KiB]", which stands for `text` from now on.
  std::string add(std::string text);

  // `line` with the text of each mark in it. A mark that was changed is what it has become.
  std::string expand(std::string_view line) const;

 private:
  std::vector<std::pair<std::string, std::string>> texts_;  // by their marks
};

}  // namespace orthrus::cli
