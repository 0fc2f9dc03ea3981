#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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

std::string qwen3_template() {
  std::ifstream file(kQwen3 / kConfigFile);
  return json::parse(file)["chat_template"];
}

void replace(std::string& text, const std::string& from, const std::string& to) {
  const size_t position = text.find(from);
  ASSERT_NE(position, text.npos) << from;
  text.replace(position, from.size(), to);
}

// What Qwen has published since: for content that may be something else than a string.
std::string revised_qwen3_template() {
  std::string text = qwen3_template();
  replace(text, "== \"user\" and not(", "== \"user\" and message.content is string and not(");
  replace(text, "{%- for message in messages %}\n",
          "{%- for message in messages %}\n"
          "    {%- if message.content is string %}\n"
          "        {%- set content = message.content %}\n"
          "    {%- else %}\n"
          "        {%- set content = '' %}\n"
          "    {%- endif %}\n");
  replace(text, "'\\n' + message.content + '<|im_end|>' +", "'\\n' + content + '<|im_end|>' +");
  replace(text, "assistant\" %}\n        {%- set content = message.content %}\n",
          "assistant\" %}\n");
  replace(text, "message.reasoning_content is defined and message.reasoning_content is not none",
          "message.reasoning_content is string");
  replace(text, "'</think>' in message.content", "'</think>' in content");
  std::string tail =
      "                {%- set content = message.content.split('</think>')[-1]"
      ".lstrip('\\n') %}\n";
  replace(text, tail, "");
  replace(tail, "message.content", "content");
  const std::string head =
      "content.split('</think>')[0].rstrip('\\n').split('<think>')[-1]"
      ".lstrip('\\n') %}\n";
  replace(text, "message." + head, head + tail);
  replace(text, "        {{- message.content }}\n", "        {{- content }}\n");
  return text;
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

TEST(ChatFormat, Qwen3sTemplateIsRecognized) {
  EXPECT_EQ(detect_chat_format(kQwen3), ChatFormat::kQwen3);
  for (const std::string& text : {qwen3_template(), revised_qwen3_template()}) {
    EXPECT_EQ(format_of_template(text), ChatFormat::kQwen3);
    EXPECT_EQ(format_of_template(text + " \r\n\n"), ChatFormat::kQwen3);
    EXPECT_EQ(format_of_config({{"chat_template", text}}), ChatFormat::kQwen3);
  }
}

TEST(ChatFormat, AnyOtherTemplateIsUnknown) {
  EXPECT_EQ(format_of_template("{{ messages }}"), ChatFormat::kUnknown);
  EXPECT_EQ(format_of_template(std::string("\n").append(qwen3_template())), ChatFormat::kUnknown);
  EXPECT_EQ(format_of_template(qwen3_template() + "x"), ChatFormat::kUnknown);
  EXPECT_EQ(format_of_config({{"chat_template", "x"}}), ChatFormat::kUnknown);
}

TEST(ChatFormat, CheckpointsMayHaveNoTemplate) {
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
