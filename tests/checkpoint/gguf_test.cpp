#include "checkpoint/gguf/gguf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "kernels/formats/format.h"
#include "orthrus/error.h"
#include "support/expect_error.h"
#include "support/gguf_writer.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

using test::expect_error;
using test::gguf_string;
using test::GgufWriter;
using test::little_endian;
using test::TemporaryDirectory;
using test::write_file;

constexpr auto kFile = ErrorKind::kFile;
constexpr auto kUnsupported = ErrorKind::kUnsupported;
constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

GgufFile parse(const std::string& file) {
  return parse_gguf(std::as_bytes(std::span(file)), "m.gguf");
}

std::string bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.data), tensor.bytes};
}

// Some of everything.
GgufWriter small_file() {
  GgufWriter writer;
  writer.text("general.architecture", "qwen2")
      .u32("number", 7)
      .f32("float", 0.5f)
      .boolean("yes", true)
      .texts("words", {"a", "", "bc"})
      .i32s("numbers", {-1, 0, 3});
  writer.tensor({"b", DType::kF32, {2, 3}, std::string(24, 'b')});
  writer.tensor({"a", DType::kQ8_0, {3, 32}, std::string(3 * 34, 'a')});
  return writer;
}

TEST(Gguf, ReadsTensors) {
  for (const uint32_t version : {2u, 3u}) {
    GgufWriter writer = small_file();
    writer.version = version;
    const std::string file = writer.file();
    const GgufFile parsed = parse(file);
    ASSERT_EQ(parsed.tensors.size(), 2u);
    const Tensor &a = parsed.tensors[0], &b = parsed.tensors[1];
    EXPECT_EQ(a.name, "a");
    EXPECT_EQ(a.type, DType::kQ8_0);
    EXPECT_EQ(a.shape, (std::vector<int64_t>{3, 32}));
    EXPECT_EQ(bytes_of(a), std::string(3 * 34, 'a'));
    EXPECT_EQ(b.name, "b");
    EXPECT_EQ(b.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(bytes_of(b), std::string(24, 'b'));
  }
}

TEST(Gguf, ReadsEveryType) {
  for (const Format& format : all_formats()) {
    const int64_t columns = 2 * format.block_columns;
    const std::string bytes(static_cast<size_t>(3 * 2 * format.block_bytes), 'x');
    const std::string file = GgufWriter().tensor({"t", format.type, {3, columns}, bytes}).file();
    const GgufFile parsed = parse(file);
    ASSERT_EQ(parsed.tensors.size(), 1u);
    EXPECT_EQ(parsed.tensors[0].type, format.type);
    EXPECT_EQ(parsed.tensors[0].shape, (std::vector<int64_t>{3, columns}));
    EXPECT_EQ(parsed.tensors[0].bytes, bytes.size());
  }
}

TEST(Gguf, ReadsMetadata) {
  const std::string text =
      small_file().raw("wide", GgufWriter::kI64, little_endian(int64_t{5})).file();
  const GgufFile file = parse(text);
  Problems problems;
  const std::string name = "m.gguf";
  const GgufFields fields(file.metadata, name, problems);
  EXPECT_EQ(fields.text("general.architecture"), "qwen2");
  EXPECT_EQ(fields.integer("number", 0, 10), 7);
  EXPECT_EQ(fields.integer("wide", 0, 10), 5);
  EXPECT_EQ(fields.positive("float"), 0.5);
  EXPECT_TRUE(fields.boolean("yes", false));
  EXPECT_EQ(fields.texts("words"), (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_EQ(fields.integers("numbers", -1, 3), (std::vector<int32_t>{-1, 0, 3}));
  EXPECT_EQ(fields.integer("none", 0, 10, 4), 4);
  EXPECT_EQ(fields.text("none", "x"), "x");
  EXPECT_EQ(fields.positive("none", 2.0), 2.0);
  EXPECT_FALSE(fields.boolean("none", false));
  problems.throw_if_any();

  // What is there, but of another type or out of range.
  (void)fields.integer("number", 0, 6);
  (void)fields.integer("float", 0, 6);
  (void)fields.integer("yes", 0, 6);
  (void)fields.integer("numbers", 0, 6);
  (void)fields.integer("none", 0, 6);
  (void)fields.positive("number");
  (void)fields.text("number");
  (void)fields.boolean("number", true);
  (void)fields.texts("numbers");
  (void)fields.texts("general.architecture");
  (void)fields.integers("words", 0, 6);
  (void)fields.integers("numbers", 0, 6);
  expect_error(kFile,
               "m.gguf: number is 7; it must be an integer from 0 to 6.\n"
               "m.gguf: float is 0.5; it must be an integer from 0 to 6.\n"
               "m.gguf: yes is true; it must be an integer from 0 to 6.\n"
               "m.gguf: numbers is an array of 3 integers; it must be an integer from 0 to 6.\n"
               "m.gguf: none is missing; it must be an integer from 0 to 6.\n"
               "m.gguf: number is 7; it must be a floating-point number above 0 that 32 bits can "
               "hold.\n"
               "m.gguf: number is 7; it must be a string.\n"
               "m.gguf: number is 7; it must be true or false.\n"
               "m.gguf: numbers is an array of 3 integers; it must be an array of strings.\n"
               "m.gguf: general.architecture is \"qwen2\"; it must be an array of strings.\n"
               "m.gguf: words is an array of 3 strings; it must be an array of integers from 0 to "
               "6.\n"
               "m.gguf: numbers is an array of 3 integers; element 0 is -1; it must be an array of "
               "integers from 0 to 6.",
               [&] { problems.throw_if_any(); });
}

TEST(Gguf, TakesTheFilesAlignment) {
  for (const uint32_t alignment : {8u, 64u, 65536u}) {
    GgufWriter writer = small_file();
    writer.u32("general.alignment", alignment);
    writer.alignment = alignment;
    const std::string file = writer.file();
    EXPECT_EQ(bytes_of(parse(file).tensors[0]), std::string(3 * 34, 'a'));
  }
}

GgufWriter::Entry entry_of(std::vector<uint64_t> dimensions, uint32_t type = 0) {
  return {
      .name = "t", .dimensions = std::move(dimensions), .type = type, .data = std::string(64, 'x')};
}

struct BadFile {
  const char* what;
  std::function<void(GgufWriter&)> spoil;
  std::string problem;
  ErrorKind kind = kFile;
};

TEST(Gguf, RefusesHostileFiles) {
  const auto with = [](GgufWriter::Entry entry) {
    return [entry](GgufWriter& w) { w.entry(entry); };
  };
  const std::string kAlignment = "; it must be an integer from 8 to 65536.";
  const std::string kSupported =
      "supported are F32, F16, Q4_0, Q5_0, Q8_0, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, BF16.";
  const BadFile kCases[] = {
      {"a sum of sizes that wraps (CVE-2025-53630): two tensors of 2^63 bytes",
       [](GgufWriter& w) {
         for (const char* name : {"s", "t"}) {
           w.entry({.name = name, .dimensions = {uint64_t{1} << 61}, .data = "x"});
         }
       },
       "tensor \"s\" takes 9223372036854775808 bytes from offset 160, but the file has only 1"},
      {"a size that wraps when multiplied (CVE-2026-33298)",
       with(entry_of({uint64_t{1} << 32, uint64_t{1} << 32})),
       "tensor \"t\" is F32 [4294967296, 4294967296], which is more bytes than 64 bits can count."},
      {"the same of blocks", with(entry_of({uint64_t{1} << 40, uint64_t{1} << 30}, 12)),
       "tensor \"t\" is Q4_K [1099511627776, 1073741824], which is more bytes than 64 bits can "
       "count."},
      {"the same in four dimensions", with(entry_of({65536, 65536, 65536, 65536})),
       "tensor \"t\" is F32 [65536, 65536, 65536, 65536], which is more bytes than 64 bits can "
       "count."},
      {"a size that wraps when padded: 2^64 - 16 bytes", with(entry_of({(uint64_t{1} << 62) - 4})),
       "tensor \"t\" takes 18446744073709551600 bytes from offset 160, but the file has only 2"},
      {"a count of tensors that wraps (CVE-2026-27940)",
       [](GgufWriter& w) { w.tensor_count = (kHuge / 64) + 2; },
       "says it has 288230376151711745 tensors; it may have 65536 at most."},
      {"more tensors than the file has room for", [](GgufWriter& w) { w.tensor_count = 60000; },
       "says it has 60000 tensors, but has only "},
      {"more keys than any file", [](GgufWriter& w) { w.key_count = kHuge; },
       "says it has 18446744073709551615 keys; it may have 65536 at most."},
      {"more keys than the file has room for", [](GgufWriter& w) { w.key_count = 60000; },
       "says it has 60000 keys, but has only "},
      {"a shape beyond the file (CVE-2026-7482)", with(entry_of({1024, 1024})),
       "tensor \"t\" takes 4194304 bytes from offset 160, but the file has only 224 bytes of data; "
       "it may be cut short."},
      {"alignment of another type", [](GgufWriter& w) { w.text("general.alignment", "32"); },
       "general.alignment is \"32\"" + kAlignment},
      {"alignment that is an array", [](GgufWriter& w) { w.i32s("general.alignment", {32}); },
       "general.alignment is an array of 1 integers" + kAlignment},
      {"alignment of zero", [](GgufWriter& w) { w.u32("general.alignment", 0); },
       "general.alignment is 0" + kAlignment},
      {"negative alignment", [](GgufWriter& w) { w.i32("general.alignment", -32); },
       "general.alignment is -32" + kAlignment},
      {"alignment that is no power of two", [](GgufWriter& w) { w.u32("general.alignment", 48); },
       "general.alignment is 48; it must be a power of two."},
      {"huge alignment", [](GgufWriter& w) { w.u32("general.alignment", 0x80000000); },
       "general.alignment is 2147483648" + kAlignment},
      {"a key of a type that there is not", [](GgufWriter& w) { w.raw("k", 13, "x"); },
       "the type of k is 13; there are types 0 to 12."},
      {"an array of a type that there is not", [](GgufWriter& w) { w.array("k", 99, 1, "x"); },
       "the type of the elements of k is 99; there are types 0 to 12."},
      {"nested arrays",
       [](GgufWriter& w) {
         w.array("k", GgufWriter::kArray, 1,
                 little_endian(GgufWriter::kI32) + little_endian(uint64_t{0}));
       },
       "k is an array of arrays; its elements must be plain values."},
      {"a string longer than the file",
       [](GgufWriter& w) { w.raw("k", GgufWriter::kString, little_endian(uint64_t{1} << 40)); },
       "k takes 1099511627776 bytes at byte "},
      {"a string whose end wraps",
       [](GgufWriter& w) { w.raw("k", GgufWriter::kString, little_endian(kHuge)); },
       "k takes 18446744073709551615 bytes at byte "},
      {"an array longer than the file",
       [](GgufWriter& w) { w.array("k", GgufWriter::kI32, uint64_t{1} << 40, ""); },
       "k is an array of 1099511627776 integers, but the file has only "},
      {"an array whose bytes wrap",
       [](GgufWriter& w) { w.array("k", GgufWriter::kF64, (uint64_t{1} << 61) + 1, ""); },
       "k is an array of 2305843009213693953 floating-point numbers, but the file has only "},
      {"more strings than the file has room for",
       [](GgufWriter& w) { w.array("k", GgufWriter::kString, uint64_t{1} << 20, ""); },
       "k is an array of 1048576 strings, but the file has only "},
      {"a string in an array longer than the file",
       [](GgufWriter& w) {
         w.array("k", GgufWriter::kString, 2, gguf_string("a") + little_endian(kHuge));
       },
       "k takes 18446744073709551615 bytes at byte "},
      {"a boolean that is neither", [](GgufWriter& w) { w.raw("k", GgufWriter::kBool, "\2"); },
       "k is a boolean of value 2; it must be 0 or 1."},
      {"a key twice",
       [](GgufWriter& w) { w.repeated("number", GgufWriter::kU32, little_endian(1u)); },
       "the metadata has the key \"number\" twice."},
      {"a tensor twice",
       [](GgufWriter& w) {
         w.tensor({"a", DType::kF32, {1}, "aaaa"});
       },
       "tensor \"a\" is there twice."},
      {"no dimensions", with(entry_of({})), "tensor \"t\" has 0 dimensions; it must have 1 to 4."},
      {"five dimensions", with(entry_of({1, 1, 1, 1, 1})),
       "tensor \"t\" has 5 dimensions; it must have 1 to 4."},
      {"2^32 - 1 dimensions",
       with({.name = "t", .dimensions = {4}, .data = "xxxx", .dimension_count = 0xffffffff}),
       "tensor \"t\" has 4294967295 dimensions; it must have 1 to 4."},
      {"a dimension of zero", with(entry_of({16, 0})),
       "dimension 1 of tensor \"t\" is 0; it must be 1 at least."},
      {"a negative dimension", with(entry_of({kHuge})),
       "dimension 0 of tensor \"t\" is -1; it must be 1 at least."},
      {"rows that are not whole blocks", with(entry_of({33}, 8)),
       "tensor \"t\" is Q8_0 and has rows of 33 numbers, which must be a multiple of 32."},
      {"the same of larger blocks", with(entry_of({32, 8}, 12)),
       "tensor \"t\" is Q4_K and has rows of 32 numbers, which must be a multiple of 256."},
      {"tensors that overlap", with({.name = "t", .dimensions = {8}, .data = "", .offset = 32}),
       "tensors \"a\" and \"t\" overlap at offset "},
      {"tensors at one place", with({.name = "t", .dimensions = {8}, .data = "", .offset = 0}),
       "overlap at offset 0."},
      {"an offset that leaves the file",
       with({.name = "t", .dimensions = {1}, .data = "", .offset = 1 << 20}),
       "tensor \"t\" takes 4 bytes from offset 1048576, but the file has only "},
      {"an offset whose sum with the size wraps",
       with({.name = "t", .dimensions = {16}, .data = "", .offset = kHuge - 31}),
       "tensor \"t\" takes 64 bytes from offset 18446744073709551584, but the file has only "},
      {"an unaligned offset", with({.name = "t", .dimensions = {1}, .data = "", .offset = 4}),
       "tensor \"t\" has offset 4, which must be a multiple of 32."},
      {"a type that is not read", with(entry_of({256}, 10)),
       "tensor \"t\" is of type 10 (Q2_K); " + kSupported, kUnsupported},
      {"a type that has been given up", with(entry_of({256}, 4)),
       "tensor \"t\" is of type 4; " + kSupported, kUnsupported},
      {"a type that there is not", with(entry_of({256}, 0xffffffff)),
       "tensor \"t\" is of type 4294967295; " + kSupported, kUnsupported},
      {"version 1", [](GgufWriter& w) { w.version = 1; },
       "its version of GGUF is 1; supported are 2 and 3.", kUnsupported},
      {"version 4", [](GgufWriter& w) { w.version = 4; },
       "its version of GGUF is 4; supported are 2 and 3.", kUnsupported},
      {"version 0", [](GgufWriter& w) { w.version = 0; },
       "its version of GGUF is 0; supported are 2 and 3.", kUnsupported},
      {"a big-endian file", [](GgufWriter& w) { w.version = 0x03000000; },
       "is big-endian; supported are little-endian files.", kUnsupported},
  };
  for (const BadFile& c : kCases) {
    SCOPED_TRACE(c.what);
    GgufWriter writer = small_file();
    c.spoil(writer);
    const std::string file = writer.file();
    try {
      parse(file);
      ADD_FAILURE() << "No error.";
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(c.kind));
      EXPECT_NE(std::string(error.what()).find(c.problem), std::string::npos) << error.what();
      EXPECT_EQ(std::string(error.what()).find("m.gguf: "), 0u) << error.what();
    }
  }
}

TEST(Gguf, RefusesWhatIsSomethingElse) {
  const std::pair<std::string, std::string> kCases[] = {
      {"GG", "it starts with \"GG\"."},
      {"GGML1234", "it starts with \"GGML\"."},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:1d96\nsize 491400064\n",
       "it starts with \"vers\": it is a pointer of Git LFS, which \"git lfs pull\" replaces by "
       "the "
       "file."},
      {"<!DOCTYPE html><html>",
       "it starts with \"<!DO\": it is a web page; download the file "
       "itself."},
      {"<html lang=en>", "it starts with \"<htm\": it is a web page; download the file itself."},
      {"PK\x03\x04",
       "it starts with \"PK\\x03\\x04\": it is a zip archive, in which PyTorch saves "
       "models; convert the model to safetensors."},
      {std::string(4, '\0'), "it starts with \"\\x00\\x00\\x00\\x00\"."},
  };
  for (const auto& [file, problem] : kCases) {
    expect_error(kFile, "m.gguf: is not a GGUF file, which starts with \"GGUF\"; " + problem,
                 [&] { parse(file); });
  }
}

TEST(Gguf, RefusesAKeyLongerThanTheFile) {
  const std::string header =
      "GGUF" + little_endian(3u) + little_endian(uint64_t{0}) + little_endian(uint64_t{1});
  expect_error(kFile,
               "m.gguf: a key of the metadata takes 1099511627776 bytes at byte 32, but the file "
               "has only 8 after it; it may be cut short.",
               [&] { parse(header + little_endian(uint64_t{1} << 40) + "12345678"); });
}

TEST(Gguf, RefusesAFileCutAnywhere) {
  const std::string file = small_file().file();
  for (size_t size = 0; size < file.size(); ++size) {
    SCOPED_TRACE(size);
    // A copy of its own, so that reading beyond its end is seen.
    const std::vector<char> cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(parse_gguf(std::as_bytes(std::span(cut)), "m.gguf"), Error);
  }
  EXPECT_EQ(parse(file).tensors.size(), 2u);
}

// Each bit flipped: an Error, or tensors that lie within the file.
TEST(Gguf, SurvivesFlippedBits) {
  const std::string file = small_file().file();
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::vector<char> flipped(file.begin(), file.end());
    flipped[bit / 8] ^= static_cast<char>(1 << bit % 8);
    const auto bytes = std::as_bytes(std::span(flipped));
    try {
      for (const Tensor& tensor : parse_gguf(bytes, "m.gguf").tensors) {
        ASSERT_GE(tensor.data, bytes.data());
        ASSERT_LE(tensor.data + tensor.bytes, bytes.data() + bytes.size());
      }
    } catch (const Error&) {
    }
  }
}

// Would take minutes if keys, names or places were compared each with each.
TEST(Gguf, ReadsManyKeysAndTensors) {
  GgufWriter writer;
  constexpr uint32_t kCount = 60'000;
  for (uint32_t i = 0; i < kCount; ++i) {
    writer.repeated(fmt::format("k{}", i), GgufWriter::kU32, little_endian(i));
    writer.entry({.name = fmt::format("t{}", i), .dimensions = {1}, .data = "xxxx"});
  }
  const std::string file = writer.file();
  const GgufFile parsed = parse(file);
  EXPECT_EQ(parsed.metadata.entries().size(), kCount);
  EXPECT_EQ(parsed.tensors.size(), kCount);
}

class GgufParts : public testing::Test {
 protected:
  GgufParts() {
    for (int part = 1; part <= 3; ++part) write(part, part_of(part));
  }

  // The first has the metadata and no tensor, as llama.cpp's gguf-split may write it.
  static GgufWriter part_of(int part) {
    GgufWriter writer;
    if (part == 1) writer.text("general.architecture", "qwen2");
    writer.u16("split.no", static_cast<uint16_t>(part - 1)).u16("split.count", 3);
    writer.i32("split.tensors.count", 3);
    if (part == 2) writer.tensor({"c", DType::kF32, {1}, "cccc"});
    if (part == 3) {
      writer.tensor({"b", DType::kF32, {1}, "bbbb"}).tensor({"a", DType::kF32, {1}, "aaaa"});
    }
    return writer;
  }

  std::string path(int part) const {
    return (directory_ / fmt::format("m-{:05}-of-00003.gguf", part)).string();
  }
  void write(int part, const GgufWriter& writer) const { writer.write(path(part)); }

  TemporaryDirectory directory_;
};

TEST_F(GgufParts, AreOneModel) {
  for (int part = 1; part <= 3; ++part) {
    const GgufModel model = open_gguf(path(part));
    EXPECT_EQ(model.name, path(1));
    ASSERT_EQ(model.tensors.size(), 3u);
    EXPECT_EQ(bytes_of(model.tensors[0]), "aaaa");
    EXPECT_EQ(bytes_of(model.tensors[1]), "bbbb");
    EXPECT_EQ(bytes_of(model.tensors[2]), "cccc");
    EXPECT_NE(model.metadata.find("general.architecture"), nullptr);
  }
}

TEST_F(GgufParts, AreFoundBesideWhatALinkLeadsTo) {
  const TemporaryDirectory elsewhere;
  for (const char* name : {"m.gguf", "m-00002-of-00003.gguf"}) {
    std::filesystem::create_symlink(path(2), elsewhere / name);
    EXPECT_EQ(open_gguf(elsewhere / name).tensors.size(), 3u) << name;
  }
  // As the hub's cache has them: a link for each part, to files of other names.
  const TemporaryDirectory links;
  for (int part = 1; part <= 3; ++part) {
    const std::filesystem::path blob = elsewhere / std::to_string(part);
    std::filesystem::rename(path(part), blob);
    std::filesystem::create_symlink(blob, links / std::filesystem::path(path(part)).filename());
  }
  EXPECT_EQ(open_gguf(links / "m-00002-of-00003.gguf").tensors.size(), 3u);
  // And a link of one's own to one of those.
  std::filesystem::create_symlink(links / "m-00001-of-00003.gguf", elsewhere / "mine.gguf");
  EXPECT_EQ(open_gguf(elsewhere / "mine.gguf").tensors.size(), 3u);
  std::filesystem::remove(links / "m-00003-of-00003.gguf");
  expect_error(
      kFile,
      links.path().string() + ": the model has 3 files; not there: \"m-00003-of-00003.gguf\".",
      [&] { open_gguf(elsewhere / "mine.gguf"); });
}

TEST_F(GgufParts, MissingOnesAreListed) {
  std::filesystem::remove(path(1));
  std::filesystem::remove(path(3));
  expect_error(kFile,
               directory_.path().string() +
                   ": the model has 3 files; not there: "
                   "\"m-00001-of-00003.gguf\", \"m-00003-of-00003.gguf\".",
               [&] { open_gguf(path(2)); });
}

TEST_F(GgufParts, MustBelongTogether) {
  write(2, part_of(3));
  expect_error(kFile, path(2) + ": split.no is 2; its name says that it must be 1.",
               [&] { open_gguf(path(1)); });
  write(2, part_of(2).u16("split.count", 4));
  expect_error(kFile, path(2) + ": split.count is 4; its name says that there are 3 files.",
               [&] { open_gguf(path(1)); });
  write(2, part_of(2).without("split.count").without("split.no"));
  expect_error(kFile, path(2) + ": split.count is missing; its name says that there are 3 files.",
               [&] { open_gguf(path(1)); });
  write(2, part_of(2).text("split.no", "1"));
  expect_error(kFile, path(2) + ": split.no is \"1\"; it must be an integer from 0 to 1024.",
               [&] { open_gguf(path(1)); });
  write(2, part_of(2).tensor({"a", DType::kF32, {1}, "aaaa"}));
  expect_error(kFile, path(1) + ": tensor \"a\" is in two of the model's files.",
               [&] { open_gguf(path(1)); });
  write(2, part_of(2).tensor({"d", DType::kF32, {1}, "dddd"}));
  expect_error(kFile, path(1) + ": split.tensors.count is 3; the model's files have 4 tensors.",
               [&] { open_gguf(path(1)); });
}

TEST_F(GgufParts, NeedTheirNames) {
  const std::string renamed = (directory_ / "m.gguf").string();
  part_of(1).write(renamed);
  expect_error(kFile,
               renamed +
                   ": split.count is 3; a model in several files must have names that end in "
                   "-00001-of-00002.gguf and so on.",
               [&] { open_gguf(renamed); });
  const std::string many = (directory_ / "m-00001-of-99999.gguf").string();
  part_of(1).write(many);
  expect_error(kFile, many + ": is one of 99999 files; there may be 1024 at most.",
               [&] { open_gguf(many); });
  // Names that only look like it are models by themselves.
  for (const char* name :
       {"m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "-0001-of-0003.gguf"}) {
    const std::string path = (directory_ / name).string();
    small_file().write(path);
    EXPECT_EQ(open_gguf(path).tensors.size(), 2u);
  }
}

}  // namespace
}  // namespace orthrus
