#include "released.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace orthrus::python {
namespace {

std::atomic<int> released = 0;
std::atomic<bool> ends = false;

// A forked process has but one thread.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { released = 0; });

// Both are seen in the order of who has the GIL: nobody gives it away after await_released().
PyThreadState* give_away() {
  if (ends) return nullptr;
  ++released;
  return PyEval_SaveThread();
}

}  // namespace

Released::Released() : state_(give_away()) {}

Released::~Released() {
  if (state_ == nullptr) return;
  PyEval_RestoreThread(state_);
  --released;
}

bool interpreter_ends() {
  return ends;
}

void await_released() {
  ends = true;
  const nanobind::gil_scoped_release release;
  for (int i = 0; i < 10'000 && released > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace orthrus::python
