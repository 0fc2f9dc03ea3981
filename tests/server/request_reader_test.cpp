// What is read does not depend on the pieces in which it comes; nor do limits.
#include "server/http/request_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace orthrus::server {
namespace {

constexpr size_t kLimit = 200;

// The status of a problem; 0: none, and all of it is one request.
int status_of(const std::string& bytes, size_t piece) {
  HttpLimits limits;
  limits.header_bytes = kLimit;
  RequestReader reader(limits, std::make_shared<BodyMemory>(1000));
  std::string input;
  auto progress = RequestReader::Progress::kMore;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    input += bytes.substr(at, piece);
    do {
      std::string_view rest = input;
      progress = reader.put(rest);
      input.erase(0, input.size() - rest.size());
    } while (progress == RequestReader::Progress::kHeader);
    if (progress == RequestReader::Progress::kBad) return reader.problem().status;
  }
  EXPECT_EQ(progress, RequestReader::Progress::kDone);
  EXPECT_EQ(input, "");
  return 0;
}

// `length` bytes that begin and end like this.
std::string padded(const std::string& begin, const std::string& end, size_t length) {
  return begin + std::string(length - begin.size() - end.size(), 'x') + end;
}

void expect_limit(const std::string& before, const std::string& begin, const std::string& end,
                  const std::string& behind, int status) {
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, kLimit - 1, kLimit, 10 * kLimit}) {
    SCOPED_TRACE(testing::Message() << begin << " in pieces of " << piece);
    EXPECT_EQ(status_of(before + padded(begin, end, kLimit) + behind, piece), 0);
    EXPECT_EQ(status_of(before + padded(begin, end, kLimit + 1) + behind, piece), status);
  }
}

TEST(RequestReader, AHeaderIsAsLongAsItMayBeWhateverPiecesComeIn) {
  expect_limit("", "GET /", " HTTP/1.1\r\nHost: a\r\n\r\n", "", 431);
  expect_limit("", "GET / HTTP/1.1\r\nHost: a\r\nB: ", "\r\n\r\n", "", 431);
}

TEST(RequestReader, WhatIsAroundChunksIsAsLongAsItMayBeWhateverPiecesComeIn) {
  const std::string header = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  expect_limit(header, "3;a=", "\r\n", "abc\r\n0\r\n\r\n", 400);
  expect_limit(header + "3\r\nabc", "\r\n0\r\nB: ", "\r\n\r\n", "", 400);
}

// However many there are, and however short: only each one's line is.
TEST(RequestReader, ManyChunksAreNoLongLine) {
  std::string request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (size_t i = 0; i < kLimit; ++i) request += "1\r\na\r\n";
  request += "0\r\n\r\n";
  for (const size_t piece : {size_t{1}, size_t{50}, request.size()})
    EXPECT_EQ(status_of(request, piece), 0);
}

}  // namespace
}  // namespace orthrus::server
