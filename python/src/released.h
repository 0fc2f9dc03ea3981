// The GIL, given away for a while.
#pragma once

#include <nanobind/nanobind.h>

namespace orthrus::python {

// While it lives, its thread does without the GIL (not after await_released()); then it takes it
// back. A thread that asks for the GIL after the interpreter has ended is ended in the middle of
// C++, which ends the process. So await_released() is called before that.
class Released {
 public:
  Released();
  ~Released();
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;

 private:
  PyThreadState* const state_;
};

// Whether await_released() was called: what takes long ends then.
bool interpreter_ends();

// Until no thread does without the GIL to take it back, or ten seconds have passed.
void await_released();

}  // namespace orthrus::python
