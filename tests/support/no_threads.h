// A process that can make no more threads, for tests that run in one of their own.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

namespace orthrus::test {

// As a user with no right to any more threads; root has no such limit.
inline void allow_no_threads() {
  const rlimit none{1, 1};
  if (setrlimit(RLIMIT_NPROC, &none) != 0) std::_Exit(10);
  if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) std::_Exit(11);
}

}  // namespace orthrus::test
