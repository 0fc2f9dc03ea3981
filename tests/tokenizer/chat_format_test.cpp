#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "orthrus/chat.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::TemporaryDirectory;

const fs::path kQwen3 = fs::path(ORTHRUS_TEST_DATA) / "qwen3-tokenizer";
constexpr const char* kConfigFile = "tokenizer_config.json";
constexpr const char* kTemplateFile = "chat_template.jinja";

// One of those in the test data, as Qwen published it.
std::string published(const std::string& name) {
  std::ifstream file(fs::path(ORTHRUS_TEST_DATA) / "chat" / (name + ".jinja"), std::ios::binary);
  EXPECT_TRUE(file.is_open()) << name;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string qwen3_template() {
  return published("qwen3");
}

std::string with_line_ends(const std::string& text, const std::string& line_end) {
  std::string result;
  for (const char c : text) result += c == '\n' ? line_end : std::string(1, c);
  return result;
}

ChatFormat format_of_config(const json& config) {
  const TemporaryDirectory directory;
  std::ofstream(directory / kConfigFile) << config;
  return detect_chat_format(directory.path());
}

ChatFormat format_of_template(const std::string& text) {
  const TemporaryDirectory directory;
  std::ofstream(directory / kTemplateFile) << text;
  return detect_chat_format(directory.path());
}

TEST(ChatFormat, PublishedTemplatesAreRecognized) {
  const std::pair<const char*, ChatFormat> cases[] = {
      {"chatml", ChatFormat::kChatMl},
      {"qwen2", ChatFormat::kQwen2},
      {"qwen2.5", ChatFormat::kQwen25},
      {"qwen3", ChatFormat::kQwen3},
      {"qwen3-revised", ChatFormat::kQwen3},
      {"qwen3-instruct-2507", ChatFormat::kQwen3Instruct2507},
      {"qwen3-thinking-2507", ChatFormat::kQwen3Thinking2507},
  };
  for (const auto& [name, format] : cases) {
    SCOPED_TRACE(name);
    const std::string text = published(name);
    EXPECT_EQ(chat_format_of(text), format);
    const std::string windows = with_line_ends(text, "\r\n");
    EXPECT_EQ(chat_format_of(windows), format);
    EXPECT_EQ(chat_format_of(windows + "\r\n"), format);
    EXPECT_EQ(chat_format_of(with_line_ends(text, "\r")), format);
    for (const std::string& saved : {text, windows}) {
      EXPECT_EQ(format_of_template(saved), format);
      EXPECT_EQ(format_of_config({{"chat_template", saved}}), format);
    }
  }
  EXPECT_EQ(detect_chat_format(kQwen3), ChatFormat::kQwen3);
}

// Jinja drops one line end at the end, and with trim_blocks the one after a block: more would show.
TEST(ChatFormat, OnlyWhatJinjaDropsAtTheEndMayBeThere) {
  const std::string text = qwen3_template();
  for (const std::string end : {"\n", "\n\n", "\r\n\r\n", "\r\r"}) {
    EXPECT_EQ(chat_format_of(text + end), ChatFormat::kQwen3);
  }
  for (const std::string end : {" ", " \n", "\n ", "\n \n", "\n\n\n", "\r\n\r\n\r\n", "\t\n"}) {
    EXPECT_EQ(chat_format_of(text + end), ChatFormat::kUnknown);
  }
}

// White space before {%- and {{- shows nowhere; in a string it does.
TEST(ChatFormat, SpacesAtTheEndsOfLinesMayBeThereWhereTheyDoNotShow) {
  std::string text = published("qwen3");
  ASSERT_EQ(text.substr(text.rfind('\n') + 1), "{%- endif %}");
  EXPECT_EQ(chat_format_of(with_line_ends(text, " \t\n")), ChatFormat::kQwen3);
  text = published("chatml");
  text.replace(text.find("\\n"), 2, 1, '\n');
  EXPECT_EQ(chat_format_of(with_line_ends(text, " \n")), ChatFormat::kUnknown);
}

TEST(ChatFormat, PlainChatMlIsRecognizedInItsVariants) {
  std::string text = published("chatml");
  const std::string first =
      "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}"
      "{% endif %}";
  EXPECT_EQ(chat_format_of(first + text), ChatFormat::kChatMl);
  for (size_t at; (at = text.find("\\n")) != text.npos;) {
    text.erase(at, 1);
    text[at] = '\n';
  }
  EXPECT_EQ(chat_format_of(text), ChatFormat::kChatMl);
}

// As in the GGUF file of Qwen2.5-Coder-1.5B-Instruct.
TEST(ChatFormat, Qwen25WithDoubledBracesIsRecognized) {
  std::string text = published("qwen2.5");
  const std::string open = "{\\\"name\\\": <function-name>", close = "<args-json-object>}";
  ASSERT_NE(text.find(open), text.npos);
  ASSERT_NE(text.find(close), text.npos);
  text.insert(text.find(open), 1, '{');
  text.insert(text.find(close) + close.size(), 1, '}');
  EXPECT_EQ(chat_format_of(text), ChatFormat::kQwen25);
}

TEST(ChatFormat, FormatsHaveNames) {
  std::string names;
  for (const ChatFormatInfo& info : chat_formats()) {
    EXPECT_EQ(name_of(info.format), info.name);
    names.append(info.name) += ' ';
  }
  EXPECT_EQ(names, "chatml qwen2 qwen2.5 qwen3 qwen3-instruct-2507 qwen3-thinking-2507 ");
  EXPECT_EQ(name_of(ChatFormat::kNone), "none");
  EXPECT_EQ(name_of(ChatFormat::kUnknown), "unknown");
}

TEST(ChatFormat, AnyOtherTemplateIsUnknown) {
  EXPECT_EQ(format_of_template("{{ messages }}"), ChatFormat::kUnknown);
  EXPECT_EQ(format_of_template(std::string("\n").append(qwen3_template())), ChatFormat::kUnknown);
  EXPECT_EQ(format_of_template(qwen3_template() + "x"), ChatFormat::kUnknown);
  EXPECT_EQ(chat_format_of(with_line_ends(qwen3_template(), "\n\n")), ChatFormat::kUnknown);
  EXPECT_EQ(chat_format_of(with_line_ends(qwen3_template(), "")), ChatFormat::kUnknown);
  EXPECT_EQ(chat_format_of(std::string(" ").append(qwen3_template())), ChatFormat::kUnknown);
  EXPECT_EQ(format_of_config({{"chat_template", "x"}}), ChatFormat::kUnknown);
}

TEST(ChatFormat, CheckpointsMayHaveNoTemplate) {
  EXPECT_EQ(chat_format_of(""), ChatFormat::kNone);
  EXPECT_EQ(chat_format_of(" \t\r\n\n"), ChatFormat::kNone);
  EXPECT_EQ(detect_chat_format(TemporaryDirectory().path()), ChatFormat::kNone);
  EXPECT_EQ(format_of_config(json::object()), ChatFormat::kNone);
  EXPECT_EQ(format_of_config({{"chat_template", nullptr}}), ChatFormat::kNone);
  EXPECT_EQ(format_of_config({{"chat_template", ""}}), ChatFormat::kNone);
}

TEST(ChatFormat, OfSeveralTemplatesTheDefaultCounts) {
  const json qwen3 = {{"name", "default"}, {"template", qwen3_template()}};
  const json other = {{"name", "rag"}, {"template", "x"}};
  EXPECT_EQ(format_of_config({{"chat_template", {other, qwen3}}}), ChatFormat::kQwen3);
  EXPECT_EQ(format_of_config({{"chat_template", json::array({other})}}), ChatFormat::kUnknown);
  EXPECT_EQ(format_of_config({{"chat_template", json::array()}}), ChatFormat::kUnknown);
}

TEST(ChatFormat, TheTemplateFileComesFirst) {
  const TemporaryDirectory directory;
  std::ofstream(directory / kConfigFile) << json({{"chat_template", qwen3_template()}});
  std::ofstream(directory / kTemplateFile) << "x";
  EXPECT_EQ(detect_chat_format(directory.path()), ChatFormat::kUnknown);
}

TEST(ChatFormat, BadFilesAreReported) {
  const std::pair<std::string, std::string> cases[] = {
      {"[]", "is []; it must be a JSON object."},
      {R"({"chat_template": 5})",
       "chat_template is 5; it must be a string or a list of named templates."},
      {R"({"chat_template": ["x"]})", R"(chat_template[0] is "x"; it must be an object.)"},
      {R"({"chat_template": [{"name": "default"}]})",
       "chat_template[0].template is null; it must be a string."},
      {R"({"chat_template": [{"name": "a", "template": "x"}, {"name": 3, "template": "x"}]})",
       "chat_template[1].name is 3; it must be a string."},
  };
  for (const auto& [text, message] : cases) {
    const TemporaryDirectory directory;
    const fs::path path = directory / kConfigFile;
    std::ofstream(path) << text;
    test::expect_error(ErrorKind::kFile, fmt::format("{}: {}", path.string(), message),
                       [&] { detect_chat_format(directory.path()); });
  }
  const TemporaryDirectory directory;
  fs::create_directory(directory / kTemplateFile);
  test::expect_error(
      ErrorKind::kFile,
      fmt::format("{}: is a directory; it must be a file.", (directory / kTemplateFile).string()),
      [&] { detect_chat_format(directory.path()); });
}

}  // namespace
}  // namespace orthrus
