#include "tokenizer/tokenizer_json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/expect_error.h"
#include "tokenizer/small_tokenizer.h"

namespace orthrus {
namespace {

using nlohmann::json;
using test::expect_error;
using test::small_tokenizer;

constexpr auto kFile = ErrorKind::kFile;
constexpr auto kUnsupported = ErrorKind::kUnsupported;

void read(const std::string& text) {
  read_tokenizer_spec(text, "t.json");
}

struct Change {
  ErrorKind kind;
  std::string at;       // a JSON pointer; what is there is replaced, or removed if `value` says so
  std::string value;    // JSON
  std::string message;  // after "t.json: "
};

void expect_errors(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    json file = small_tokenizer();
    file["added_tokens"] = {test::added_token("<s>", 300), test::added_token("</s>", 301)};
    const json::json_pointer at(change.at);
    if (change.value == "removed") {
      file[at.parent_pointer()].erase(at.back());
    } else {
      file[at] = json::parse(change.value);
    }
    SCOPED_TRACE(change.at + " " + change.value);
    expect_error(change.kind, "t.json: " + change.message, [&] { read(file.dump()); });
  }
}

TEST(TokenizerJson, ReadsWhatIsSupported) {
  json file = small_tokenizer();
  file["added_tokens"] = {test::added_token("<s>", 300), {{"id", 301}, {"content", "</s>"}}};
  file["added_tokens"][0]["special"] = true;
  file["model"]["unk_token"] = "h";
  file["model"]["continuing_subword_prefix"] = "";
  file["post_processor"] = {{"type", "ByteLevel"}};
  const TokenizerSpec spec = read_tokenizer_spec(file.dump(), "t.json");
  EXPECT_TRUE(spec.normalize);
  EXPECT_EQ(spec.split_pattern, " ?\\p{L}+");
  EXPECT_FALSE(spec.ignore_merges);
  EXPECT_EQ(spec.vocab.size(), 261u);
  EXPECT_EQ(spec.byte_ids[' '], ' ');
  ASSERT_EQ(spec.merges.size(), 5u);
  EXPECT_EQ(spec.merges[2].left, 256);
  EXPECT_EQ(spec.merges[2].right, 257);
  EXPECT_EQ(spec.merges[2].result, 258);
  ASSERT_EQ(spec.added_tokens.size(), 2u);
  EXPECT_TRUE(spec.added_tokens[0].special);
  EXPECT_FALSE(spec.added_tokens[0].normalized);
  EXPECT_FALSE(spec.added_tokens[1].special);
  EXPECT_TRUE(spec.added_tokens[1].normalized);  // as Hugging Face has it, for lack of the field
}

// Of the last call before the file was saved; transformers sets both anew for each call.
TEST(TokenizerJson, TruncationAndPaddingDoNotCount) {
  const std::string text = "hello hello w \u00e9";
  json file = small_tokenizer();
  const std::vector<int32_t> ids = test::parse(file).encode(text);
  file["truncation"] = {
      {"direction", "Right"}, {"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}};
  file["padding"] = {{"strategy", {{"Fixed", 64}}},
                     {"direction", "Left"},
                     {"pad_to_multiple_of", 8},
                     {"pad_id", 0},
                     {"pad_type_id", 0},
                     {"pad_token", "<pad>"}};
  EXPECT_EQ(test::parse(file).encode(text), ids);
}

TEST(TokenizerJson, PatternsThatMayMeanAnotherThingAreRefused) {
  json file = small_tokenizer();
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "[\\p{L}&&[^a]]+";
  try {
    read(file.dump());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kUnsupported);
    EXPECT_TRUE(std::string(error.what())
                    .starts_with("t.json: pre_tokenizer.pretokenizers[0].pattern.Regex is "
                                 "\"[\\\\p{L}&&[^a]]+\"; at byte 6 it has \"&&\", which may mean "
                                 "another thing here than in the Oniguruma that it is written for; "
                                 "only these are supported: characters, classes of them "))
        << error.what();
  }
}

TEST(TokenizerJson, WhatIsNotSupportedIsRefusedByName) {
  expect_errors({
      {kUnsupported, "/version", R"("2.0")", R"(version is "2.0"; only "1.0" is supported.)"},
      {kUnsupported, "/normalizer", R"({"type": "Lowercase"})",
       R"(normalizer.type is "Lowercase"; only "NFC" is supported.)"},
      {kUnsupported, "/normalizer",
       R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}]})",
       R"(normalizer.normalizers[1].type is "Strip"; only "NFC" is supported.)"},
      {kUnsupported, "/pre_tokenizer", "null",
       "pre_tokenizer is null; only a Sequence of Split and ByteLevel is supported."},
      {kUnsupported, "/pre_tokenizer", R"({"type": "Metaspace"})",
       R"(pre_tokenizer.type is "Metaspace"; only "Split" or "ByteLevel" is supported.)"},
      {kUnsupported, "/pre_tokenizer", R"({"type": "ByteLevel"})",
       R"(pre_tokenizer is {"type":"ByteLevel"}; only a Sequence of Split and ByteLevel is )"
       "supported."},
      {kUnsupported, "/pre_tokenizer/pretokenizers/0", R"({"type": "Digits"})",
       R"(pre_tokenizer.pretokenizers[0].type is "Digits"; only "Split" or "ByteLevel" is )"
       "supported."},
      {kUnsupported, "/pre_tokenizer/pretokenizers/0/pattern", R"({"String": " "})",
       R"(pre_tokenizer.pretokenizers[0].pattern is {"String":" "}; only {"Regex": ...} is )"
       "supported."},
      {kUnsupported, "/pre_tokenizer/pretokenizers/0/behavior", R"("Removed")",
       R"(pre_tokenizer.pretokenizers[0].behavior is "Removed"; only "Isolated" is supported.)"},
      {kUnsupported, "/pre_tokenizer/pretokenizers/0/invert", "true",
       "pre_tokenizer.pretokenizers[0].invert is true; only false is supported."},
      {kUnsupported, "/pre_tokenizer/pretokenizers/1/add_prefix_space", "true",
       "pre_tokenizer.pretokenizers[1].add_prefix_space is true; only false is supported."},
      {kUnsupported, "/pre_tokenizer/pretokenizers/1/use_regex", "true",
       "pre_tokenizer.pretokenizers[1].use_regex is true; only false is supported."},
      {kUnsupported, "/pre_tokenizer/pretokenizers/1/use_regex", "removed",
       "pre_tokenizer.pretokenizers[1].use_regex is null; only false is supported."},
      {kUnsupported, "/post_processor", R"({"type": "TemplateProcessing"})",
       R"(post_processor.type is "TemplateProcessing"; only "ByteLevel" is supported.)"},
      {kUnsupported, "/decoder", "null", "decoder is null; only ByteLevel is supported."},
      {kUnsupported, "/decoder/type", R"("WordPiece")",
       R"(decoder.type is "WordPiece"; only "ByteLevel" is supported.)"},
      {kUnsupported, "/model", "removed", "model is null; only BPE is supported."},
      {kUnsupported, "/model/type", R"("Unigram")",
       R"(model.type is "Unigram"; only "BPE" is supported.)"},
      {kUnsupported, "/model/dropout", "0.1", "model.dropout is 0.1; only null is supported."},
      {kUnsupported, "/model/continuing_subword_prefix", R"("##")",
       R"(model.continuing_subword_prefix is "##"; only null or "" is supported.)"},
      {kUnsupported, "/model/end_of_word_suffix", R"("</w>")",
       R"(model.end_of_word_suffix is "</w>"; only null or "" is supported.)"},
      {kUnsupported, "/model/byte_fallback", "true",
       "model.byte_fallback is true; only false is supported."},
      {kUnsupported, "/added_tokens/1/lstrip", "true",
       "added_tokens[1].lstrip is true; only false is supported."},
      {kUnsupported, "/added_tokens/1/rstrip", "true",
       "added_tokens[1].rstrip is true; only false is supported."},
      {kUnsupported, "/added_tokens/0/single_word", "true",
       "added_tokens[0].single_word is true; only false is supported."},
  });
}

TEST(TokenizerJson, FieldsOfTheWrongTypeAreRefused) {
  const std::string long_name(100, 'x');
  expect_errors({
      {kFile, "/version", "1.0", "version is 1.0; it must be a string."},
      {kFile, "/normalizer", R"("NFC")", R"(normalizer is "NFC"; it must be an object.)"},
      {kFile, "/normalizer/type", "null", "normalizer.type is null; it must be a string."},
      {kFile, "/normalizer", R"({"type": "Sequence"})",
       "normalizer.normalizers is null; it must be a list."},
      {kFile, "/pre_tokenizer/pretokenizers", R"({"a": 1})",
       R"(pre_tokenizer.pretokenizers is {"a":1}; it must be a list.)"},
      {kFile, "/pre_tokenizer/pretokenizers/0/pattern", R"("a")",
       R"(pre_tokenizer.pretokenizers[0].pattern is "a"; it must be an object.)"},
      {kFile, "/pre_tokenizer/pretokenizers/0/pattern/Regex", "[]",
       "pre_tokenizer.pretokenizers[0].pattern.Regex is []; it must be a string."},
      {kFile, "/pre_tokenizer/pretokenizers/1/add_prefix_space", "0",
       "pre_tokenizer.pretokenizers[1].add_prefix_space is 0; it must be true or false."},
      {kFile, "/model", "[]", "model is []; it must be an object."},
      {kFile, "/model/unk_token", "3", "model.unk_token is 3; it must be a string."},
      {kFile, "/model/vocab", "[]", "model.vocab is []; it must be an object."},
      {kFile, "/model/vocab", "null", "model.vocab is null; it must be an object."},
      {kFile, "/model/vocab", "removed", "model.vocab is null; it must be an object."},
      {kFile, "/model/merges", R"({"a": "b"})", R"(model.merges is {"a":"b"}; it must be a list.)"},
      {kFile, "/model/merges", R"("a b")", R"(model.merges is "a b"; it must be a list.)"},
      {kFile, "/model/merges", "removed", "model.merges is null; it must be a list."},
      {kFile, "/model/ignore_merges", R"("yes")",
       R"(model.ignore_merges is "yes"; it must be true or false.)"},
      {kFile, "/added_tokens", "{}", "added_tokens is {}; it must be a list."},
      {kFile, "/added_tokens/0", "7", "added_tokens[0] is 7; it must be an object."},
      {kFile, "/added_tokens/0/content", "null",
       "added_tokens[0].content is null; it must be a string."},
      {kFile, "/added_tokens/0/content", R"("")",
       R"(added_tokens[0].content is ""; it must have 1 to 1024 bytes.)"},
      {kFile, "/added_tokens/0/content", json(std::string(1025, 'x')).dump(),
       fmt::format(R"(added_tokens[0].content is "{}...; it must have 1 to 1024 bytes.)",
                   std::string(79, 'x'))},
      {kFile, "/added_tokens/0/special", "1",
       "added_tokens[0].special is 1; it must be true or false."},
  });
}

TEST(TokenizerJson, IdsAreChecked) {
  expect_errors({
      {kFile, "/model/vocab/he", "-1",
       R"(model.vocab["he"] is -1; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", "4194304",
       R"(model.vocab["he"] is 4194304; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", "18446744073709551615",
       R"(model.vocab["he"] is 18446744073709551615; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", "1.5",
       R"(model.vocab["he"] is 1.5; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", R"("256")",
       R"(model.vocab["he"] is "256"; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", "[256]",
       R"(model.vocab["he"] is an array; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", "{}",
       R"(model.vocab["he"] is an object; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", "null",
       R"(model.vocab["he"] is null; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/\u001b[2J", "true",
       R"(model.vocab["\x1b[2J"] is true; it must be an integer from 0 to 4194303.)"},
      {kFile, "/model/vocab/he", "257",
       R"(model.vocab has "ll" with id 257, which is that of "he"; ids must differ.)"},
      {kFile, "/added_tokens/0/id", "-3",
       "added_tokens[0].id is -3; it must be an integer from 0 to 4194303."},
      {kFile, "/added_tokens/0/id", "99999999999",
       "added_tokens[0].id is 99999999999; it must be an integer from 0 to 4194303."},
      {kFile, "/added_tokens/0/id", "301",
       R"(added_tokens has "</s>" with id 301, which is that of "<s>"; ids must differ.)"},
      {kFile, "/added_tokens/0/id", "256",
       R"(added_tokens has "<s>" with id 256, which is that of "he"; ids must differ.)"},
      {kFile, "/added_tokens/0/content", R"("hello")",
       R"(added_tokens has "hello" with id 300, but in model.vocab it has id 259.)"},
      {kFile, "/added_tokens/0/content", R"("</s>")", R"(added_tokens has "</s>" twice.)"},
      {kFile, "/model/vocab/a", "removed",
       R"(model.vocab lacks "a", the letter of byte 0x61; each of the 256 bytes must have a )"
       "token."},
      {kFile, "/model/vocab/\u0120", "removed",
       "model.vocab lacks \"\u0120\", the letter of byte 0x20; each of the 256 bytes must have a "
       "token."},
      {kFile, "/model/vocab", "{}",
       "model.vocab lacks \"\u0100\", the letter of byte 0x00; each of the 256 bytes must have a "
       "token."},
  });
}

TEST(TokenizerJson, MergesAreChecked) {
  constexpr const char* kExpected = R"(it must be "left right" or ["left", "right"].)";
  const auto message = [&](int rank, const std::string& what) {
    return fmt::format("model.merges[{}] is {}; {}", rank, what, kExpected);
  };
  expect_errors({
      {kFile, "/model/merges/1", "17", message(1, "17")},
      {kFile, "/model/merges/1", "null", message(1, "null")},
      {kFile, "/model/merges/1", "{}", message(1, "an object")},
      {kFile, "/model/merges/1", R"("ll")", message(1, R"("ll")")},
      {kFile, "/model/merges/1", R"("l l l")", message(1, R"("l l l")")},
      {kFile, "/model/merges/1", R"(["l"])", message(1, "a list of 1")},
      {kFile, "/model/merges/1", "[]", message(1, "a list of 0")},
      {kFile, "/model/merges/1", R"(["l", "l", "l"])", message(1, "a list of more")},
      {kFile, "/model/merges/1", R"(["l", 3])", message(1, "a list with 3")},
      {kFile, "/model/merges/1", R"(["l", ["l"]])", message(1, "a list with an array")},
      {kFile, "/model/merges/2", R"(["zz", "l"])",
       R"(model.merges[2] needs "zz", which is not in model.vocab.)"},
      {kFile, "/model/merges/2", R"(["l", "zz"])",
       R"(model.merges[2] needs "zz", which is not in model.vocab.)"},
      {kFile, "/model/merges/2", R"(["h", "o"])",
       R"(model.merges[2] needs "ho", which is not in model.vocab.)"},
      {kFile, "/model/merges/2", R"(["h", "e"])",
       "model.merges[2] merges the same pair as model.merges[0]."},
  });
}

TEST(TokenizerJson, TextsThatAreNoJsonAreRefused) {
  struct Case {
    std::string text;
    std::string message;
  };
  const Case cases[] = {
      {"",
       "t.json: is not valid JSON: parse error at line 1, column 1: syntax error while parsing "
       "value - unexpected end of input; expected '[', '{', or a literal."},
      {"{\"a\": }",
       "t.json: is not valid JSON: parse error at line 1, column 7: syntax error while "
       "parsing value - unexpected '}'; expected '[', '{', or a literal."},
      {"[]", "t.json: is []; it must be a JSON object."},
      {"12", "t.json: is 12; it must be a JSON object."},
      {"{} {}",
       "t.json: is not valid JSON: parse error at line 1, column 4: syntax error while "
       "parsing value - unexpected '{'; expected end of input."},
      {R"({"version": "1.0", "version": "1.0"})",
       R"(t.json: an object has the key "version" twice.)"},
      {R"({"model": {"vocab": {}, "vocab": {}}})",
       R"(t.json: an object has the key "vocab" twice.)"},
      {std::string("{}\0", 3), "t.json: is not valid JSON: byte 2 is zero."},
  };
  for (const Case& c : cases) expect_error(kFile, c.message, [&] { read(c.text); });

  for (const std::string text :
       {R"({"a": "\ud800"})", R"({"a": "\ud800\u0041"})", R"({"a": "\udc00"})", "{\"a\": \"\xff\"}",
        "{\"a\": \"\xed\xa0\x80\"}", "{\"a\": \"\n\"}", R"({"a": 1e999})", R"({"a": NaN})",
        R"({"model": {"vocab": {"\ud800": 1}}})", R"({"model": {"merges": ["\ud800 a"]}})"}) {
    try {
      read(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).rfind("t.json: is not valid JSON: ", 0), 0u)
          << error.what();
    }
  }
}

TEST(TokenizerJson, ATokenGivenTwiceIsReported) {
  std::string text = small_tokenizer().dump();
  text.replace(text.find("\"he\":"), 5, "\"ll\":");
  expect_error(kFile, R"(t.json: model.vocab has "ll" twice.)", [&] { read(text); });
}

TEST(TokenizerJson, DeepNestingIsRefused) {
  constexpr const char* kMessage = "t.json: is nested more than 32 levels deep.";
  const std::string deep(1'000'000, '[');
  expect_error(kFile, kMessage, [&] { read(deep); });
  expect_error(kFile, kMessage, [&] { read("{\"normalizer\": " + deep); });
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_error(kFile, kMessage, [&] { read(objects); });
}

TEST(TokenizerJson, CountsAreLimited) {
  std::string text = "{\"added_tokens\": [0";
  for (int i = 0; i < 1'000'000; ++i) text += ",0";
  expect_error(kFile, "t.json: has more than 1000000 values besides model.vocab and model.merges.",
               [&] { read(text + "]}"); });
}

}  // namespace
}  // namespace orthrus
