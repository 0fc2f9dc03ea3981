#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace orthrus {

// "1 thread", "2 threads".
std::string counted(std::integral auto number, std::string_view thing) {
  std::string words = std::to_string(number);
  words.append(" ").append(thing);
  return number == 1 ? words : words + "s";
}

}  // namespace orthrus
