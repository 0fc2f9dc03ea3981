// Runs the built binary as a person or a script would.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace orthrus::test {

struct ProcessResult {
  int exit_code = -1;  // 128 + the signal's number when a signal ended it
  std::string out;
  std::string err;
};

struct RunOptions {
  std::string input{};                     // on standard input
  bool interrupt_at_first_output = false;  // sends SIGINT when something appears on standard output
  int signal_at_first_output = 0;          // or another signal
  bool close_at_first_output = false;      // stops reading standard output then, as `head` does
  std::vector<int> ignored_signals{};      // when it begins
  bool non_blocking = false;               // its pipes are small, and do not wait
  std::string output_file{};               // standard output, in place of ProcessResult::out
  bool no_file_may_grow = false;           // ulimit -f 0
};

// Throws std::runtime_error when it cannot be run, or has not ended after two minutes.
ProcessResult run_orthrus(const std::vector<std::string>& arguments,
                          const RunOptions& options = {});

// With a terminal for all three streams; all its output is in `out`. "\r\n" has become "\n".
ProcessResult run_in_terminal(const std::vector<std::string>& arguments,
                              const RunOptions& options = {});

// Runs it with --json, expects success and one line that is a JSON object.
nlohmann::json run_for_json(std::vector<std::string> arguments);

inline const std::string kTinyCode = ORTHRUS_MODELS "/tiny-code";
inline const std::string kGolden = ORTHRUS_TEST_DATA "/golden/tied";  // without a tokenizer

}  // namespace orthrus::test
