// Tokenizers and chat formats of models that are GGUF files.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "orthrus/chat.h"
#include "orthrus/error.h"
#include "orthrus/tokenizer.h"
#include "support/expect_error.h"
#include "support/expect_error_parts.h"
#include "support/gguf_model.h"
#include "support/temporary_directory.h"
#include "tokenizer/byte_level.h"

namespace orthrus {
namespace {

// A model with a token for each byte, one merged token, and an end of text.
test::GgufWriter model_with_tokenizer() {
  ModelConfig config;
  config.vocab_size = 258;
  config.hidden_size = config.intermediate_size = 8;
  config.num_hidden_layers = 1;
  config.num_attention_heads = config.num_key_value_heads = 2;
  config.head_dim = 4;
  config.rms_norm_eps = 1e-6f;
  config.rope_theta = 1e4;
  config.max_position_embeddings = 64;
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(letter_of_byte(static_cast<unsigned char>(byte)));
  }
  tokens.insert(tokens.end(), {"ab", "<|endoftext|>"});
  std::vector<int32_t> types(258, 1);
  types.back() = 3;
  test::GgufWriter writer = gguf_of(config, test::random_tensors_in(config, DType::kF32));
  return writer.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", "qwen2")
      .texts("tokenizer.ggml.tokens", tokens)
      .i32s("tokenizer.ggml.token_type", types)
      .texts("tokenizer.ggml.merges", {"a b"});
}

class GgufText : public testing::Test {
 protected:
  const std::filesystem::path& write(const test::GgufWriter& writer) const {
    writer.write(path_);
    return path_;
  }
  test::TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_ / "m.gguf";
};

TEST_F(GgufText, HasATokenizer) {
  const Tokenizer tokenizer = load_tokenizer(write(model_with_tokenizer()));
  EXPECT_EQ(tokenizer.encode("abc<|endoftext|>"), (std::vector<int32_t>{256, 'c', 257}));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{256, 'c'}), "abc");
  EXPECT_TRUE(tokenizer.is_special(257));
}

TEST_F(GgufText, MayHaveNoTokenizer) {
  test::expect_error(
      ErrorKind::kFile, path_.string() + ": has no tokenizer: tokenizer.ggml.model is missing.",
      [&] { load_tokenizer(write(model_with_tokenizer().without("tokenizer.ggml.model"))); });
}

TEST_F(GgufText, MergesMustBeOfTheVocabulary) {
  for (const char* merge : {"a zz", "zz a", "a c", "ab", "a  b"}) {
    test::GgufWriter writer = model_with_tokenizer();
    writer.texts("tokenizer.ggml.merges", {"a b", merge});
    test::expect_error_parts([&] { load_tokenizer(write(writer)); }, ErrorKind::kFile,
                             {path_.string() + ": tokenizer.ggml.merges[1]"});
  }
}

TEST_F(GgufText, HasAChatFormat) {
  EXPECT_EQ(detect_chat_format(write(model_with_tokenizer())), ChatFormat::kNone);
  std::ifstream file(std::filesystem::path(ORTHRUS_TEST_DATA) / "chat" / "qwen2.5.jinja");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  test::GgufWriter writer = model_with_tokenizer();
  EXPECT_EQ(detect_chat_format(write(writer.text("tokenizer.chat_template", text))),
            ChatFormat::kQwen25);
  EXPECT_EQ(detect_chat_format(write(writer.text("tokenizer.chat_template", "{{ x }}"))),
            ChatFormat::kUnknown);
}

}  // namespace
}  // namespace orthrus
