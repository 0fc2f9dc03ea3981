// What C++ throws, as Python's exceptions.
#pragma once

namespace orthrus::python {

// orthrus::Error becomes the class of orthrus.errors for its kind; std::bad_alloc is MemoryError.
void register_errors();

}  // namespace orthrus::python
