#include "files/recognize.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "files/json_document.h"
#include "orthrus/error.h"
#include "support/expect_error.h"

namespace orthrus {
namespace {

using std::string_literals::operator""s;

TEST(WhatItIs, NamesWhatDownloadsAndOtherProgramsLeave) {
  const std::pair<std::string, std::string> kCases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:46\nsize 34\n", "Git LFS"},
      {"<!doctype html><html>404", "a web page"},
      {"\n  <html lang=en>", "a web page"},
      {"<?xml version=\"1.0\"?><Error>", "a web page"},
      {"Entry not found", "a download that failed"},
      {"Invalid username or password.", "a download that failed"},
      {"PK\x03\x04\0\0\x08\x08\0\0"s, "a zip archive, in which PyTorch"},
      {"\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19."s, "a Python pickle"},
      {"\x1f\x8b\x08\0\0\0\0\0\x03"s, "gzip"},
      {"GGUF\x03\0\0\0\x01\0\0\0"s, "a GGUF file"},
      {"tjgg\x03\0\0\0"s, "older than GGUF"},
      {"\xff\xfe{\0\r\0\n\0"s, "UTF-16"},
      {"\x89HDF\r\n\x1a\n"s, "HDF5"},
      {"\xef\xbb\xbf {\"a\": 1}", "JSON"},
      {"\x40\0\0\0\0\0\0\0{\"__m"s, "a safetensors file"},
      {"\x80\x02\0\0\0\0\0\0{"s, "a safetensors file"},
      {std::string(64, '\0'), "zeros"},
  };
  for (const auto& [bytes, what] : kCases) {
    EXPECT_NE(what_it_is(bytes).find(what), std::string_view::npos)
        << what << ": " << what_it_is(bytes);
  }
}

TEST(WhatItIs, SaysNothingOfWhatItDoesNotKnow) {
  for (const std::string& bytes :
       {""s, " \n"s, "hello"s, "[1, 2]"s, "\x80"s, std::string(4, '\0'), "\x40\0\0\0\0\0\0\0x"s}) {
    EXPECT_EQ(what_it_is(bytes), "") << bytes;
  }
}

TEST(Json, ThatIsSomethingElseIsNamed) {
  test::expect_error(ErrorKind::kFile,
                     "t.json: is not JSON: it is a pointer of Git LFS, which \"git lfs pull\" "
                     "replaces by the file.",
                     [] { parse_json_object("version https://git-lfs.github.com/", "t.json"); });
  test::expect_error(ErrorKind::kFile,
                     "t.json: is not JSON: it is text in UTF-16; save it as UTF-8.",
                     [] { parse_json_object("\xff\xfe{\0}\0"s, "t.json"); });
}

}  // namespace
}  // namespace orthrus
