// What is asked of the engine, as Python fills it in.
#pragma once

#include <nanobind/nanobind.h>

namespace orthrus::python {

// Binds GenerateOptions, field by field. Ranges are checked by the engine.
void bind_options(nanobind::module_& module);

}  // namespace orthrus::python
