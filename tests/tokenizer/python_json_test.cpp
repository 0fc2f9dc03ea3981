#include "tokenizer/python_json.h"

#include <gtest/gtest.h>

#include <string>

#include "support/expect_error.h"

namespace orthrus {
namespace {

std::string python(const std::string& text) {
  return python_json_object(text, "It");
}

// json.dumps(json.loads(text), ensure_ascii=False)
TEST(PythonJson, ObjectsAsPythonWritesThem) {
  struct Case {
    std::string text;
    std::string expected;
  };
  const Case cases[] = {
      {"{}", "{}"},
      {" { } ", "{}"},
      {R"({"a":1,"b":[1,2,{}],"c":{"d":null}})", R"({"a": 1, "b": [1, 2, {}], "c": {"d": null}})"},
      {R"({"b":true,"a":false})", R"({"b": true, "a": false})"},
      {R"({"a":1,"b":2,"a":3})", R"({"a": 3, "b": 2})"},
      {R"({"a":{"x":1},"a":[]})", R"({"a": []})"},
      {R"({"":""})", R"({"": ""})"},
      {R"({"\u00e9\u4e2d\ud83d\ude00":"<a href='x'>&</a>\/"})",
       "{\"\u00e9\u4e2d\U0001f600\": \"<a href='x'>&</a>/\"}"},
      {R"({"a":"\"\\\n\r\t\b\f\u0001\u001f\u007f"})",
       "{\"a\": \"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001f\x7f\"}"},
      {R"({"a":"\u0000\u2028"})", "{\"a\": \"\\u0000\u2028\"}"},
  };
  for (const Case& c : cases) EXPECT_EQ(python(c.text), c.expected) << c.text;
}

TEST(PythonJson, NumbersAsPythonWritesThem) {
  struct Case {
    std::string number;
    std::string expected;
  };
  const Case cases[] = {
      {"0", "0"},
      {"-0", "0"},
      {"-5", "-5"},
      {"18446744073709551615", "18446744073709551615"},
      {"18446744073709551616", "18446744073709551616"},
      {"-9223372036854775809", "-9223372036854775809"},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"1.0", "1.0"},
      {"-0.0", "-0.0"},
      {"0.1", "0.1"},
      {"0.10", "0.1"},
      {"-12.5", "-12.5"},
      {"1e2", "100.0"},
      {"1E+2", "100.0"},
      {"123e-2", "1.23"},
      {"0.0001", "0.0001"},
      {"0.00012", "0.00012"},
      {"0.00001", "1e-05"},
      {"-0.000012", "-1.2e-05"},
      {"1e15", "1000000000000000.0"},
      {"9007199254740993.0", "9007199254740992.0"},
      {"1e16", "1e+16"},
      {"12345678901234567.0", "1.2345678901234568e+16"},
      {"1e22", "1e+22"},
      {"1e100", "1e+100"},
      {"5e-324", "5e-324"},
      {"1e-999", "0.0"},
      {"1.7976931348623157e308", "1.7976931348623157e+308"},
      {"3.141592653589793", "3.141592653589793"},
      {"0.30000000000000004", "0.30000000000000004"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(python("{\"a\":" + c.number + "}"), "{\"a\": " + c.expected + "}");
  }
}

TEST(PythonJson, OtherTextsAreRefused) {
  struct Case {
    std::string text;
    std::string message;
  };
  const Case cases[] = {
      {"[1, 2]", "It is [1, 2]; it must be a JSON object."},
      {"\"{}\"", "It is \"{}\"; it must be a JSON object."},
      {"12", "It is 12; it must be a JSON object."},
      {"{",
       "It is not valid JSON: parse error at line 1, column 2: syntax error while parsing "
       "object key - unexpected end of input; expected string literal."},
      {std::string("{}\0", 3), "It is not valid JSON: it has a zero byte."},
      {std::string(1'000'000, '['), "It is nested more than 100 levels deep."},
  };
  for (const Case& c : cases) {
    test::expect_error(ErrorKind::kUsage, c.message, [&] { python(c.text); });
  }
  for (const char* text : {"", "{} {}", "{'a': 1}", "{\"a\": NaN}", "{\"a\": 01}", "{\"a\": 1e999}",
                           "{\"a\": \"\\ud800\"}", "{\"a\": \"\xff\"}", "{a: 1}", "nothing"}) {
    EXPECT_THROW(python(text), Error) << text;
  }
}

// Compared one by one, these keys would take 10 000 million steps.
TEST(PythonJson, ManyKeysAreNoTrouble) {
  std::string text;
  std::string expected;
  for (int i = 0; i < 150'000; ++i) {
    const std::string key = '"' + std::to_string(i) + '"';
    text += (i == 0 ? "{" : ",") + key + ":1";
    expected += (i == 0 ? "{" : ", ") + key + ": 1";
  }
  EXPECT_TRUE(python(text + "}") == expected + "}");
}

}  // namespace
}  // namespace orthrus
