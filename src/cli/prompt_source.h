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

// The ids that the value of `option` gives: "1,2,3" itself, "@FILE" those of a file, "-" those of
// standard input; items_of says how they may be written. Throws Error(kUsage), naming the source
// and the item, and Error(kFile) for what cannot be read.
TokenIds read_ids(std::string_view option, const std::string& value);
std::string ids_in_words(const TokenIds& ids);  // "1,2,3"

// The text of a file, or of standard input for "-". Throws Error(kFile) when it cannot be read,
// Error(kUsage) when it is not UTF-8.
std::string read_text(const std::string& file);
// What messages call it.
std::string name_of_text(const std::string& file);

class PromptSource {
 public:
  void add_to(CLI::App& app);
  void add_ids_to(CLI::App& app, const std::string& name, const std::string& description);

  // Throws Error(kUsage) when more than one source is given, or none and standard input is a
  // terminal, or a text is not UTF-8; Error(kFile) when one cannot be read.
  Prompt read() const;

 private:
  std::optional<std::string> text_, file_, ids_;
  std::string ids_name_;
};

}  // namespace orthrus::cli
