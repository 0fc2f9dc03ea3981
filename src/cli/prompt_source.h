// Where a prompt comes from: an option, a file, standard input, or token ids.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace orthrus::cli {

using TokenIds = std::vector<int32_t>;
using Prompt = std::variant<std::string, TokenIds>;

// "1,2,3". Throws Error(kUsage), naming `option` and the item.
TokenIds parse_ids(std::string_view option, std::string_view text);
std::string ids_in_words(const TokenIds& ids);  // "1,2,3"

class PromptSource {
 public:
  void add_to(CLI::App& app);
  void add_ids_to(CLI::App& app, const std::string& name, const std::string& description);

  // Throws Error(kUsage) when more than one source is given, or none and standard input is a
  // terminal; Error(kFile) when one cannot be read.
  Prompt read() const;

 private:
  std::optional<std::string> text_, file_, ids_;
  std::string ids_name_;
};

}  // namespace orthrus::cli
