// What the log says, and what it leaves out.
#include "server/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace orthrus::server {
namespace {

// All that is logged of one answer.
std::string logged(LogLevel least, const std::string& path, int status,
                   const std::string& method = "GET") {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  {
    Log log(least, ends[1]);
    log.write(
        {.id = "a", .method = method, .path = path, .status = status, .seconds = 1, .note = {}});
  }
  close(ends[1]);
  char text[512];
  const ssize_t size = read(ends[0], text, sizeof text);
  close(ends[0]);
  return {text, static_cast<size_t>(size)};
}

TEST(Log, WhatIsAskedAllTheTimeIsForDebugging) {
  for (const char* const path : {"/health", "/ready", "/metrics"}) {
    EXPECT_EQ(logged(LogLevel::kInfo, path, 200), "") << path;
  }
  EXPECT_EQ(logged(LogLevel::kInfo, "/ready", 503), "");  // it is being loaded, or about to end
  EXPECT_NE(logged(LogLevel::kDebug, "/ready", 503).find(" debug id=a GET /ready 503 1.000s\n"),
            std::string::npos);
  EXPECT_NE(logged(LogLevel::kInfo, "/metrics", 500).find(" warning "), std::string::npos);
  EXPECT_NE(logged(LogLevel::kInfo, "/v1/models", 503).find(" warning "), std::string::npos);
  EXPECT_NE(logged(LogLevel::kInfo, "/v1/models", 200).find(" info "), std::string::npos);
}

TEST(Log, FieldsStandWhereTheyAreExpected) {
  EXPECT_NE(logged(LogLevel::kInfo, "", 431, "").find(" info id=a - - 431 1.000s\n"),
            std::string::npos);
}

}  // namespace
}  // namespace orthrus::server
