// Signals, and streams that do not wait.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "cli/run_orthrus.h"
#include "support/temporary_directory.h"

namespace orthrus::test {
namespace {

std::vector<std::string> long_generation(const std::string& tokens) {
  return {"generate", "-m",   kTinyCode, "-p", "def fibonacci(n):\n",
          "-n",       tokens, "--mode",  "ar", "--ignore-eos"};
}

TEST(Signals, EndAGenerationInOrder) {
  const std::pair<int, int> codes[] = {{SIGINT, 130}, {SIGTERM, 143}, {SIGHUP, 129}};
  for (const auto& [number, code] : codes) {
    const ProcessResult result =
        run_orthrus(long_generation("2000"), {.signal_at_first_output = number});
    EXPECT_EQ(result.exit_code, code);
    EXPECT_NE(result.err.find("finish reason cancelled"), std::string::npos) << result.err;
    EXPECT_FALSE(result.out.empty());
  }
}

TEST(Signals, ThatWereIgnoredStayIgnored) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const ProcessResult result = run_orthrus(
        long_generation("60"), {.signal_at_first_output = number, .ignored_signals = {number}});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_NE(result.err.find("finish reason length"), std::string::npos) << result.err;
  }
}

TEST(Streams, AFileAtItsLargestIsAFailure) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory / "out";
  std::ofstream(file).close();
  const ProcessResult result =
      run_orthrus(long_generation("5"), {.output_file = file.string(), .no_file_may_grow = true});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, "orthrus: Cannot write to standard output: File too large.\n");
}

TEST(Streams, ThatDoNotWaitAreWaitedFor) {
  std::string text;
  for (int i = 0; i < 6000; ++i) text += "word " + std::to_string(i) + "\n";
  const std::vector<std::string> tokenize = {"tokenize", "-m", kTinyCode};
  const ProcessResult want = run_orthrus(tokenize, {.input = text});
  ASSERT_EQ(want.exit_code, 0) << want.err;
  ASSERT_GT(want.out.size(), 50000u);
  const ProcessResult got = run_orthrus(tokenize, {.input = text, .non_blocking = true});
  EXPECT_EQ(got.exit_code, 0) << got.err;
  EXPECT_EQ(got.out, want.out);
}

}  // namespace
}  // namespace orthrus::test
