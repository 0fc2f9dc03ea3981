// Bodies of requests and their fields: what is read, and what errors say.
#include <gtest/gtest.h>

#include "orthrus/error.h"
#include "server/api/fields.h"

namespace orthrus::server {
namespace {

template <typename Action>
ApiError refusal(const Action& action, int status = 400) {
  try {
    action();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, status) << error.message;
    EXPECT_EQ(error.type, "invalid_request_error");
    return error;
  }
  ADD_FAILURE() << "no error";
  return invalid_request("");
}

std::string refusal_of_body(std::string_view body) {
  return refusal([&] { parse_body(body); }).message;
}

TEST(Body, MembersKeepTheirOrder) {
  EXPECT_EQ(to_text(parse_body(R"({"z": 1, "a": {"y": [1, -2, 0.5], "b": "\u00e9"}})")),
            R"({"z":1,"a":{"y":[1,-2,0.5],"b":"é"}})");
}

TEST(Body, IsOneJsonObject) {
  EXPECT_EQ(refusal_of_body("[1]"), "The body is a list of 1; it must be a JSON object.");
  EXPECT_EQ(refusal_of_body("3"), "The body is 3; it must be a JSON object.");
  for (const char* text : {"", "{", "{}}", "{\"a\": NaN}", "{\"a\": 1e400}", "{\"a\": 01}",
                           "{\"a\": \"\xff\"}", "{\"a\": \"\\ud800\"}", "{a: 1}", "{\"a\" 1}"}) {
    EXPECT_TRUE(refusal_of_body(text).starts_with("The body is not valid JSON: ")) << text;
  }
  EXPECT_EQ(refusal_of_body(std::string_view("{\0}", 3)),
            "The body is not valid JSON: byte 1 is zero.");
}

TEST(Body, NestingIsBounded) {
  const auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  EXPECT_NO_THROW(parse_body(nested(kMaxDepth)));
  EXPECT_EQ(refusal_of_body(nested(kMaxDepth + 1)), "The body is nested more than 64 deep.");
  EXPECT_EQ(refusal_of_body(nested(10000)), "The body is nested more than 64 deep.");
  EXPECT_EQ(refusal_of_body(std::string(1'000'000, '[')), "The body is nested more than 64 deep.");
}

TEST(Body, AMemberGivenTwiceIsRefused) {
  EXPECT_EQ(refusal_of_body(R"({"n": 1, "m": 2, "n": 3})"),
            "The body has \"n\" twice in one object.");
}

TEST(Body, ManyMembersTakeLinearTime) {
  std::string body = "{";
  for (int i = 0; i < 200'000; ++i) body += '"' + std::to_string(i) + "\":0,";
  body.back() = '}';
  EXPECT_EQ(parse_body(body).size(), 200'000u);
}

// Bodies of a size that HTTP allows, which would take gigabytes.
TEST(Body, MillionsOfSmallValuesAreRefused) {
  const auto body_of = [](std::string_view value) {
    std::string body = "{\"a\":[";
    while (body.size() < (size_t{32} << 20) - 20) body.append(value) += ',';
    return body.append("0]}");
  };
  for (const char* const value : {"[]", "{}", "{\"\":0}", "\"\"", "0"}) {
    const std::string body = body_of(value);
    refusal([&] { parse_body(body); }, 413);
  }
  EXPECT_GT(parse_body(body_of("1000000"))["a"].size(), 4'000'000u);
  EXPECT_NO_THROW(parse_body("{\"a\":\"" + std::string(size_t{31} << 20, 'x') + "\"}"));
}

TEST(Fields, NullIsAbsent) {
  const Json body = parse_body(R"({"a": null, "b": 1})");
  const Fields fields(body);
  EXPECT_FALSE(fields.has("a"));
  EXPECT_FALSE(fields.integer("a", 0, 5).has_value());
  EXPECT_FALSE(fields.text("c").has_value());
  EXPECT_EQ(fields.integer("b", 0, 5), 1);
}

TEST(Fields, IntegersHaveRanges) {
  const auto read = [](const std::string& value, int64_t least, int64_t most) {
    const Json body = parse_body("{\"n\": " + value + "}");
    return Fields(body).integer("n", least, most);
  };
  EXPECT_EQ(read("1", 1, 5), 1);
  EXPECT_EQ(read("5.0", 1, 5), 5);
  EXPECT_EQ(read("-7", -7, 5), -7);
  EXPECT_EQ(read("9223372036854775807", 0, INT64_MAX), INT64_MAX);
  for (const char* value : {"0", "6", "-1", "1.5", "\"3\"", "true", "[]", "9223372036854775808",
                            "18446744073709551615", "18446744073709551616", "1e300", "-1e300"}) {
    const ApiError error = refusal([&] { read(value, 1, 5); });
    EXPECT_TRUE(error.message.ends_with("; it must be a whole number from 1 to 5."))
        << error.message;
    EXPECT_EQ(error.param, "n");
  }
  EXPECT_EQ(refusal([&] { read("9223372036854775808", 1, INT64_MAX); }).message,
            "n is 9223372036854775808; it must be a whole number from 1 to 9223372036854775807.");
}

TEST(Fields, NumbersHaveRanges) {
  const auto read = [](const std::string& value, bool above) {
    const Json body = parse_body("{\"top_p\": " + value + "}");
    return Fields(body).number("top_p", 0, 1, above);
  };
  EXPECT_EQ(read("0", false), 0.0);
  EXPECT_EQ(read("1", true), 1.0);
  EXPECT_EQ(read("0.25", true), 0.25);
  EXPECT_EQ(refusal([&] { read("0", true); }).message,
            "top_p is 0; it must be a number above 0, up to 1.");
  EXPECT_EQ(refusal([&] { read("1.5", false); }).message,
            "top_p is 1.5; it must be a number from 0 to 1.");
  EXPECT_EQ(refusal([&] { read("\"1\"", false); }).message,
            "top_p is \"1\"; it must be a number from 0 to 1.");
}

TEST(Fields, NamePathsOfWhatIsWithin) {
  const Json body = parse_body(R"({"outer": {"inner": 3, "word": "x"}, "other": 1})");
  const Fields outer = *Fields(body).object("outer");
  EXPECT_EQ(refusal([&] { outer.text("inner"); }).message,
            "outer.inner is 3; it must be a string.");
  EXPECT_EQ(refusal([&] {
              outer.choice("word", {"a", "b", "c"});
            }).message,
            "outer.word is \"x\"; it must be \"a\", \"b\" or \"c\".");
  EXPECT_EQ(refusal([&] { outer.required("more", "a string"); }).message,
            "outer.more is missing; it must be a string.");
  EXPECT_EQ(refusal([&] { Fields(body).object("other"); }).message,
            "other is 1; it must be an object.");
  EXPECT_EQ(refusal([&] { Fields(body).boolean("other"); }).message,
            "other is 1; it must be true or false.");
  EXPECT_EQ(refusal([&] { Fields(body).list("other"); }).message, "other is 1; it must be a list.");
}

TEST(ApiErrors, HaveOpenAisForm) {
  EXPECT_EQ(
      openai_json(invalid_request("n is 0.", "n")),
      R"({"error":{"message":"n is 0.","type":"invalid_request_error","param":"n","code":null}})");
  EXPECT_EQ(openai_json({404, "invalid_request_error", "No \xff.", "", "model_not_found"}),
            "{\"error\":{\"message\":\"No \uFFFD.\",\"type\":\"invalid_request_error\","
            "\"param\":null,\"code\":\"model_not_found\"}}");
}

TEST(ApiErrors, SayWhatTheEngineSays) {
  const ApiError usage = as_api_error(Error(ErrorKind::kUsage, "top_k is -1; valid is more."));
  EXPECT_EQ(usage.status, 400);
  EXPECT_EQ(usage.param, "top_k");
  EXPECT_EQ(as_api_error(Error(ErrorKind::kUsage, "The prompt is empty.")).param, "");
  EXPECT_EQ(as_api_error(Error(ErrorKind::kSystem, "No memory.")).status, 500);
  EXPECT_EQ(as_api_error(std::bad_alloc()).status, 500);
  EXPECT_EQ(as_api_error(ApiError(429, "rate_limit_error", "Later.")).status, 429);
}

}  // namespace
}  // namespace orthrus::server
