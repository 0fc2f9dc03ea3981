// The engine, as Python's code has it.
#pragma once

#include <nanobind/nanobind.h>

namespace orthrus::python {

void bind_engine(nanobind::module_& module);

}  // namespace orthrus::python
