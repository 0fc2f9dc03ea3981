#include "checkpoint/huggingface/safetensors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/formats/format.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/safetensors_writer.h"

namespace orthrus {
namespace {

using std::string_literals::operator""s;
using test::expect_error;
using test::safetensors_file;

std::vector<Tensor> parse(const std::string& file) {
  return as_tensors(parse_safetensors(std::as_bytes(std::span(file)), "m.safetensors").tensors);
}

std::string bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), tensor.bytes};
}

TEST(Safetensors, ReadsTensorsSortedByName) {
  const std::string file = safetensors_file({{"z", DType::kF16, {3}, "aabbcc"},
                                             {"empty", DType::kF32, {0, 5}, ""},
                                             {"scalar", DType::kBF16, {}, "dd"},
                                             {"b", DType::kF32, {1, 2}, "eeeeffff"}});
  const std::vector<Tensor> tensors = parse(file);
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].name, "b");
  EXPECT_EQ(tensors[0].type, DType::kF32);
  EXPECT_EQ(tensors[0].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(bytes_of(tensors[0]), "eeeeffff");
  EXPECT_EQ(tensors[1].name, "empty");
  EXPECT_EQ(tensors[1].shape, (std::vector<int64_t>{0, 5}));
  EXPECT_EQ(tensors[1].bytes, 0u);
  EXPECT_EQ(tensors[2].name, "scalar");
  EXPECT_EQ(tensors[2].type, DType::kBF16);
  EXPECT_TRUE(tensors[2].shape.empty());
  EXPECT_EQ(bytes_of(tensors[2]), "dd");
  EXPECT_EQ(tensors[3].name, "z");
  EXPECT_EQ(tensors[3].type, DType::kF16);
  EXPECT_EQ(bytes_of(tensors[3]), "aabbcc");
}

TEST(Safetensors, AcceptsWhatTheFormatAllows) {
  const struct {
    std::string what, header, data;
    size_t tensors;
  } kCases[] = {
      {"no tensors", "{}", "", 0},
      {"metadata only", R"({"__metadata__":{"format":"pt"}})", "", 0},
      {"fields in any order", R"({"a":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}})", "0123",
       1},
      {"tensors in any order",
       R"({"a":{"dtype":"F16","shape":[1],"data_offsets":[2,4]},)"
       R"("b":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})",
       "0123", 2},
      {"eight dimensions",
       R"({"a":{"dtype":"F16","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,2]}})", "01", 1},
      {"the empty name", R"({"":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}})", "01", 1},
      {"a tensor and empty ones at its ends",
       R"({"a":{"dtype":"F16","shape":[0],"data_offsets":[2,2]},)"
       R"("b":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},)"
       R"("c":{"dtype":"F16","shape":[0],"data_offsets":[0,0]}})",
       "01", 3},
      {"a huge dimension beside a zero",
       R"({"a":{"dtype":"F16","shape":[0,9223372036854775807],"data_offsets":[0,0]}})", "", 1},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(parse(safetensors_file(c.header, c.data)).size(), c.tensors);
  }
}

TEST(Safetensors, RefusesFilesThatAreNot) {
  const std::string kNot = "m.safetensors: is not a safetensors file: ";
  const struct {
    std::string file, problem;
  } kCases[] = {
      {"", "it has 0 bytes, and must start with the 8 of its header's length."},
      {"version https://git-lfs.github.com/spec/v1\n",
       "it is a pointer of Git LFS, which \"git lfs pull\" replaces by the file."},
      {"{\"error\": \"gated\"}", "it is JSON."},
      {"GGUF\x03\0\0\0"s, "it is a GGUF file; give it the name NAME.gguf, and that as the model."},
      {"1234567", "it has 7 bytes, and must start with the 8 of its header's length."},
      {"\xff\xff\xff\xff\xff\xff\xff\xff{}",
       "its header's length is 18446744073709551615; it may be 100000000 at most."},
      {"\x01\xe1\xf5\x05\0\0\0\0{}"s,
       "its header's length is 100000001; it may be 100000000 at most."},
      {"\x03\0\0\0\0\0\0\0{}"s,
       "its header's length is 3, but the file has only 2 bytes after it; it may be cut short."},
      {"\0\0\0\0\0\0\0\0{}"s, R"(its header starts with ""; it must be a JSON object.)"},
      {"\x02\0\0\0\0\0\0\0[]"s, R"(its header starts with "["; it must be a JSON object.)"},
      {"\x03\0\0\0\0\0\0\0\x1b{}"s, R"(its header starts with "\x1b"; it must be a JSON object.)"},
  };
  for (const auto& c : kCases) {
    expect_error(ErrorKind::kFile, kNot + c.problem, [&] { parse(c.file); });
  }
}

// A header's fields for a tensor, and what is wrong with it.
struct BadHeader {
  std::string header, problem;
};

TEST(Safetensors, RefusesMalformedHeaders) {
  const std::string kArray = "it must be an array of up to 8 integers, none below 0.";
  const std::string kPair = "it must be an array of two integers, none below 0.";
  const BadHeader kCases[] = {
      {R"({"a":1})", R"(tensor "a" is 1; it must be an object.)"},
      {R"({"a":[]})", R"(tensor "a" is an array; it must be an object.)"},
      {R"({"a":null})", R"(tensor "a" is null; it must be an object.)"},
      {R"({"__metadata__":"x"})", R"(__metadata__ is "x"; it must be an object.)"},
      {R"({"__metadata__":{"n":1.5}})", R"("n" in __metadata__ is 1.5; it must be a string.)"},
      {R"({"__metadata__":{"n":{}}})", R"("n" in __metadata__ is an object; it must be a string.)"},
      {R"({"__metadata__":{},"__metadata__":{}})", "__metadata__ is there twice."},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", R"(tensor "a" has no dtype.)"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", R"(tensor "a" has no shape.)"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", R"(tensor "a" has no data_offsets.)"},
      {R"({"a":{}})", R"(tensor "a" has no dtype.)"},
      {R"({"a":{"dtype":"F32","scale":2}})",
       R"(tensor "a" has a field "scale"; there may be dtype, shape and data_offsets only.)"},
      {R"({"a":{"dtype":"F32","dtype":"F32"}})", R"(tensor "a" has dtype twice.)"},
      {R"({"a":{"shape":[],"shape":[]}})", R"(tensor "a" has shape twice.)"},
      {R"({"a":{"data_offsets":[0,4],"data_offsets":[0,4]}})",
       R"(tensor "a" has data_offsets twice.)"},
      {R"({"a":{"dtype":5}})", R"(dtype of tensor "a" is 5; it must be a string.)"},
      {R"({"a":{"dtype":["F32"]}})", R"(dtype of tensor "a" is an array; it must be a string.)"},
      {R"({"a":{"shape":"4"}})", R"(shape of tensor "a" is "4"; )" + kArray},
      {R"({"a":{"shape":{}}})", R"(shape of tensor "a" is an object; )" + kArray},
      {R"({"a":{"shape":[-1]}})", R"(shape of tensor "a" holds -1; )" + kArray},
      {R"({"a":{"shape":[4.0]}})", R"(shape of tensor "a" holds 4.0; )" + kArray},
      {R"({"a":{"shape":[1e2]}})", R"(shape of tensor "a" holds 1e2; )" + kArray},
      {R"({"a":{"shape":["4"]}})", R"(shape of tensor "a" holds "4"; )" + kArray},
      {R"({"a":{"shape":[true]}})", R"(shape of tensor "a" holds true; )" + kArray},
      {R"({"a":{"shape":[[1]]}})", R"(shape of tensor "a" holds an array; )" + kArray},
      {R"({"a":{"shape":[9223372036854775808]}})",
       R"(shape of tensor "a" holds 9223372036854775808; )" + kArray},
      {R"({"a":{"shape":[99999999999999999999]}})",
       R"(shape of tensor "a" holds 99999999999999999999; )" + kArray},
      {R"({"a":{"shape":[1,1,1,1,1,1,1,1,1]}})",
       R"(shape of tensor "a" holds more than 8 numbers; )" + kArray},
      {R"({"a":{"data_offsets":0}})", R"(data_offsets of tensor "a" is 0; )" + kPair},
      {R"({"a":{"data_offsets":[]}})",
       R"(data_offsets of tensor "a" holds too few numbers; )" + kPair},
      {R"({"a":{"data_offsets":[4]}})",
       R"(data_offsets of tensor "a" holds too few numbers; )" + kPair},
      {R"({"a":{"data_offsets":[0,4,8]}})",
       R"(data_offsets of tensor "a" holds more than two numbers; )" + kPair},
      {R"({"a":{"data_offsets":[-4,0]}})", R"(data_offsets of tensor "a" holds -4; )" + kPair},
  };
  for (const auto& c : kCases) {
    expect_error(ErrorKind::kFile, "m.safetensors: " + c.problem,
                 [&] { parse(safetensors_file(c.header, "01234567")); });
  }
}

TEST(Safetensors, RefusesDataThatDoesNotFit) {
  const auto tensor = [](std::string_view type, std::string_view shape, std::string_view offsets) {
    return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":{}}})", type, shape, offsets);
  };
  const auto one = [&](std::string_view type, std::string_view shape, std::string_view offsets) {
    return fmt::format(R"({{"a":{}}})", tensor(type, shape, offsets));
  };
  const auto two = [&](std::string_view a, std::string_view b) {
    return fmt::format(R"({{"a":{},"b":{}}})", tensor("F16", "[2]", a), tensor("F16", "[2]", b));
  };
  const BadHeader kCases[] = {
      {one("F32", "[2]", "[8,0]"), R"(tensor "a" has data_offsets [8, 0], which run backwards.)"},
      {one("F32", "[4]", "[0,16]"),
       R"(tensor "a" has data_offsets [0, 16], but the file has only 8 bytes of data; it may be )"
       "cut short."},
      {one("F32", "[2]", "[18446744073709551608,18446744073709551615]"),
       R"(tensor "a" has data_offsets [18446744073709551608, 18446744073709551615], but the file )"
       "has only 8 bytes of data; it may be cut short."},
      {one("F32", "[3]", "[0,8]"),
       R"(tensor "a" is F32 [3], which takes 12 bytes, but has data_offsets [0, 8], which hold )"
       "8."},
      {one("BF16", "[0,2]", "[0,8]"),
       R"(tensor "a" is BF16 [0, 2], which takes 0 bytes, but has data_offsets [0, 8], which hold )"
       "8."},
      {one("F16", "[4294967296,4294967296,4294967296]", "[0,8]"),
       R"(tensor "a" is F16 [4294967296, 4294967296, 4294967296], which is more bytes than 64 )"
       "bits can count."},
      {one("F16", "[9223372036854775807]", "[0,8]"),
       R"(tensor "a" is F16 [9223372036854775807], which takes 18446744073709551614 bytes, but )"
       "has data_offsets [0, 8], which hold 8."},
      {one("F16", "[2]", "[0,4]"), "the data has 8 bytes, but its tensors end at byte 4."},
      {"{}", "the data has 8 bytes, but its tensors end at byte 0."},
      {one("F16", "[2]", "[4,8]"),
       R"(bytes 0 to 4 of the data, before tensor "a", belong to none.)"},
      {two("[0,4]", "[2,6]"), R"(tensors "a" and "b" overlap at byte 2 of the data.)"},
      {two("[4,8]", "[4,8]"), R"(bytes 0 to 4 of the data, before tensor "a", belong to none.)"},
      {two("[0,4]", "[0,4]"), R"(tensors "a" and "b" overlap at byte 0 of the data.)"},
      {fmt::format(R"({{"a":{0},"a":{0}}})", tensor("F32", "[2]", "[0,8]")),
       R"(tensor "a" is there twice.)"},
  };
  for (const auto& c : kCases) {
    expect_error(ErrorKind::kFile, "m.safetensors: " + c.problem,
                 [&] { parse(safetensors_file(c.header, "01234567")); });
  }
}

// Without the padding that writers add, the data starts at any byte.
TEST(Safetensors, ReadsUnalignedTensors) {
  for (size_t padding = 0; padding < 8; ++padding) {
    std::string header = R"({"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
                         R"("b":{"dtype":"F16","shape":[1],"data_offsets":[4,6]},)"
                         R"("c":{"dtype":"F32","shape":[1],"data_offsets":[6,10]},)"
                         R"("empty":{"dtype":"F32","shape":[0],"data_offsets":[10,10]}})";
    header.append(padding, ' ');
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    file += header + "\x80\x3f\x00\x40\x00\x42\x00\x00\x80\x40"s;  // 1, 2; 3; 4
    const std::vector<Tensor> tensors = parse(file);
    ASSERT_EQ(tensors.size(), 4u);
    float numbers[4] = {};
    for (const auto& [i, at] : {std::pair(0, 0), std::pair(1, 2), std::pair(2, 3)}) {
      const Tensor& tensor = tensors[static_cast<size_t>(i)];
      const Format& format = format_of(tensor.type);
      const size_t count = tensor.bytes / static_cast<size_t>(format.block_bytes);
      format.widen(tensor.data, count, numbers + at);
      EXPECT_TRUE(format.finite(tensor.data, count));
    }
    EXPECT_EQ(std::vector<float>(numbers, numbers + 4), (std::vector<float>{1, 2, 3, 4}));
  }
}

TEST(Safetensors, RefusesOtherTypes) {
  const std::pair<std::string, int> kCases[] = {{"I64", 1},  {"F64", 1}, {"I32", 2}, {"F8_E4M3", 8},
                                                {"BOOL", 8}, {"f32", 2}, {"F4", 16}, {"", 1}};
  for (const auto& [type, count] : kCases) {
    const std::string header =
        fmt::format(R"({{"a":{{"dtype":"{}","shape":[{}],"data_offsets":[0,8]}}}})", type, count);
    // Quantized ones may only want to be described.
    const bool quantized = type == "I32" || type == "I64" || type == "F8_E4M3";
    expect_error(
        ErrorKind::kUnsupported,
        fmt::format("m.safetensors: dtype of tensor \"a\" is \"{}\"; supported are "
                    "\"F32\", \"F16\" and \"BF16\"{}.",
                    type,
                    quantized ? ", and what quantization_config in config.json describes" : ""),
        [&] { parse(safetensors_file(header, "01234567")); });
  }
}

TEST(Safetensors, RefusesWhatIsNotJson) {
  const std::string kCases[] = {
      "{", "{]", "{\"a\"}", "{} {}", "{\"a\":\"\xff\"}", "{\"a\":1e999}", "{\"a\":NaN}", "{'a':1}",
  };
  for (const std::string& header : kCases) {
    SCOPED_TRACE(header);
    try {
      parse(safetensors_file(header, ""));
      ADD_FAILURE() << "No error.";
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find("m.safetensors: the header is not valid JSON: "), 0u)
          << error.what();
    }
  }
  expect_error(ErrorKind::kFile, "m.safetensors: is not valid JSON: byte 2 is zero.",
               [] { parse(safetensors_file("{}\0 anything"s, "")); });
}

TEST(Safetensors, ShortensAndEscapesNames) {
  const std::string header = R"({"\u001b[31m)" + std::string(100'000, 'x') + R"(":1})";
  expect_error(ErrorKind::kFile,
               "m.safetensors: tensor \"\\x1b[31m" + std::string(72, 'x') +
                   "...\" is 1; it must be an object.",
               [&] { parse(safetensors_file(header, "")); });
}

// None of these may overflow the stack or take memory out of proportion.
TEST(Safetensors, RefusesDeepNesting) {
  const std::string deep(50'000'000, '[');
  expect_error(ErrorKind::kFile, R"(m.safetensors: tensor "a" is an array; it must be an object.)",
               [&] { parse(safetensors_file(R"({"a":)" + deep, "")); });
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += R"({"a":)";
  expect_error(ErrorKind::kFile,
               R"(m.safetensors: tensor "a" has a field "a"; there may be dtype, shape and )"
               "data_offsets only.",
               [&] { parse(safetensors_file(objects, "")); });
}

// Would take hours if the checks for names, overlaps or holes compared each tensor with each.
TEST(Safetensors, ReadsManyTensors) {
  constexpr size_t kCount = 300'000;
  std::string header = "{";
  for (size_t i = 0; i < kCount; ++i) {
    header += fmt::format(R"({}"t{}":{{"dtype":"F16","shape":[1],"data_offsets":[{},{}]}})",
                          i == 0 ? "" : ",", i, 2 * i, 2 * i + 2);
  }
  const std::string file = safetensors_file(header + "}", std::string(2 * kCount, 'x'));
  EXPECT_EQ(parse(file).size(), kCount);
}

}  // namespace
}  // namespace orthrus
