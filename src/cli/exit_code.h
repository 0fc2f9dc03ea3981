// What the process says to the shell.
#pragma once

namespace orthrus::cli {

enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,
  kUsageError = 2,
  kInterrupted = 130,  // as a shell reports the end by Ctrl-C
};

}  // namespace orthrus::cli
