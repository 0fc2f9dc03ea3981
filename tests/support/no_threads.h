// A process that can make few more threads or none, for tests that run in one of their own.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

namespace orthrus::test {

// As a user with no right to more than so many; root has no such limit. A user who has others runs
// them too, and has fewer left.
inline void allow_threads(rlim_t more) {
  const rlimit most{1 + more, 1 + more};
  if (setrlimit(RLIMIT_NPROC, &most) != 0) std::_Exit(10);
  if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) std::_Exit(11);
}

inline void allow_no_threads() {
  allow_threads(0);
}

}  // namespace orthrus::test
