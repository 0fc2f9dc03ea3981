// A tokenizer.json. So that mutations reach more than the reader, the input is also taken for three
// lines that are put into a working file: the split pattern, an added token and the text to encode;
// for a tokenizer_config.json beside a working file; and for a token's id and text in one.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/error.h"
#include "orthrus/tokenizer.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/nfc.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/utf8.h"

namespace {

using nlohmann::json;
using orthrus::Tokenizer;

json make_working_file() {
  json file = json::parse(R"({
    "added_tokens": [{"id": 300, "content": "<s>", "special": true, "normalized": false}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"he": 256, "ll": 257, "hell": 258, "hello": 259},
      "merges": ["h e", "l l", "he ll", "hell o"]}})");
  for (int byte = 0; byte < 256; ++byte) {
    file["model"]["vocab"][orthrus::letter_of_byte(static_cast<unsigned char>(byte))] = byte;
  }
  return file;
}

std::optional<Tokenizer> parse(std::string_view text) {
  try {
    return Tokenizer::parse(text, "fuzz");
  } catch (const orthrus::Error&) {
    return std::nullopt;
  }
}

// `normalized`: the text is what the tokenizer makes of it before it splits it, so that its ids
// must give it back.
void check(const Tokenizer& tokenizer, std::string_view text, bool normalized) {
  std::vector<int32_t> ids;
  try {
    ids = tokenizer.encode(text);
  } catch (const orthrus::Error&) {
    return;
  }
  const std::string decoded = tokenizer.decode(ids);
  if (orthrus::find_invalid_utf8(decoded)) std::abort();
  if (normalized && decoded != text) std::abort();
  orthrus::StreamDecoder decoder(tokenizer);
  std::string streamed;
  for (const int32_t id : ids) {
    if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
    streamed += decoder.put(id);
  }
  if (streamed + decoder.finish() != decoded) std::abort();
}

void check_in_working_file(const std::array<std::string_view, 3>& lines) {
  for (const std::string_view line : lines) {
    if (orthrus::find_invalid_utf8(line)) return;
  }
  json file = make_working_file();
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = lines[0];
  file["added_tokens"][0]["content"] = lines[1];
  const auto tokenizer = parse(file.dump());
  if (!tokenizer) return;
  // Letters that stand for bytes mean those bytes in an added token.
  const auto bytes = orthrus::bytes_of_letters(lines[1]);
  check(*tokenizer, orthrus::nfc(lines[2]), !bytes || *bytes == lines[1]);
}

// Whatever a configuration adds, each token has one id.
void check_config(const std::string& config) {
  static const std::string file = make_working_file().dump();
  const orthrus::TokenizerConfigText text{config, "fuzz config"};
  try {
    std::set<int32_t> ids;
    for (const auto& token : orthrus::read_tokenizer_spec(file, "fuzz", &text).added_tokens) {
      if (!ids.insert(token.id).second) std::abort();
    }
  } catch (const orthrus::Error&) {
  }
}

void check_in_config(const std::array<std::string_view, 3>& lines) {
  for (const std::string_view line : lines) {
    if (orthrus::find_invalid_utf8(line)) return;
  }
  json config;
  config["added_tokens_decoder"][std::string(lines[0])]["content"] = lines[1];
  config["eos_token"] = lines[2];
  check_config(config.dump());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(input), size);
  if (const auto tokenizer = parse(text)) {
    check(*tokenizer, "Hello, <|im_start|>w\u00f6rld \u4f60\u597d \U0001f600 e\u0301\n\n  1",
          false);
  }
  std::array<std::string_view, 3> lines;
  for (size_t i = 0; i + 1 < lines.size(); ++i) {
    const size_t end = text.find('\n');
    lines[i] = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  lines.back() = text;
  check_in_working_file(lines);
  check_in_config(lines);
  check_config(std::string(reinterpret_cast<const char*>(input), size));
  return 0;
}
