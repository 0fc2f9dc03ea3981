// Text to token ids and back: the byte-level BPE of a Hugging Face tokenizer.json or a GGUF file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace orthrus {

struct Vocabulary;

// Immutable after load; safe to use from many threads.
class Tokenizer {
 public:
  // Reads a tokenizer.json. Throws Error(kFile) when it is missing or malformed, and
  // Error(kUnsupported), naming the component, when it asks for a normalizer, pre-tokenizer,
  // decoder or option that is not one of those Qwen3's tokenizers use.
  // `config` is the tokenizer_config.json that belongs to it, if any: the tokens of its
  // added_tokens_decoder are tokens, with the flags that it gives them, and its eos_token and the
  // like are special. Error(kFile) where the two files give a token different ids.
  static Tokenizer load(const std::filesystem::path& file,
                        const std::optional<std::filesystem::path>& config = std::nullopt);

  // As load, from the file's text; `name` stands for the file in error messages.
  static Tokenizer parse(std::string_view json, const std::string& name);

  // From what a GGUF file says: normal tokens are the vocabulary, control tokens are added and
  // special, user-defined ones added only, and unused ones have no text. Copies what it keeps.
  // Throws Error(kFile) for tokens, types or merges that do not fit together, and
  // Error(kUnsupported) for a split or a type of token that is not one of Qwen's, naming the field.
  static Tokenizer from_vocabulary(const Vocabulary& vocabulary);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // One more than the largest token id.
  int vocab_size() const;

  // The ids of `text`, which must be UTF-8 of less than 2 GiB: Error(kUsage), naming the byte, when
  // it is not. Error(kFile) when the file's split pattern backtracks without reasonable end.
  // Added tokens ("<|im_start|>") found in the text become their own ids.
  // O(n log n) in the length of the text, whatever the text is.
  std::vector<int32_t> encode(std::string_view text) const;

  // As encode, for the whole of a prompt: before it comes the token that every prompt begins with,
  // where the vocabulary asks for one (GGUF's add_bos_token) and the text does not begin with it.
  std::vector<int32_t> encode_prompt(std::string_view text) const;

  // The text of `ids`; always valid UTF-8, broken sequences become U+FFFD.
  // Ids outside the vocabulary have no text. With skip_special, tokens marked special have none.
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  // The bytes that one id stands for, which need not be whole UTF-8 characters.
  std::string_view token_bytes(int32_t id) const;

  bool is_special(int32_t id) const;  // an added token marked special
  std::optional<int32_t> find_added(std::string_view content) const;  // id of an added token

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

// The tokenizer of a model: of a directory its tokenizer.json and tokenizer_config.json, of a GGUF
// file what its metadata has. Throws as Tokenizer::load, and Error(kFile) where there is none.
Tokenizer load_tokenizer(const std::filesystem::path& model);

// Decodes a stream of ids, never emitting half a UTF-8 character: bytes that may still become one
// are held back. All text emitted, finish() included, is what Tokenizer::decode gives for all ids.
class StreamDecoder {
 public:
  // `tokenizer` must outlive the decoder.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = false);

  std::string put(int32_t id);  // the text that this id completes; often empty within a character
  std::string finish();         // what is held back, as U+FFFD; the decoder starts afresh

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;  // at most 3 bytes: the start of a character
};

}  // namespace orthrus
