#include "errors.h"

#include <nanobind/nanobind.h>

#include <cstring>

#include "orthrus/error.h"

namespace nb = nanobind;

namespace orthrus::python {
namespace {

const char* class_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return "UsageError";
    case ErrorKind::kFile:
      return "FileError";
    case ErrorKind::kUnsupported:
      return "UnsupportedError";
    case ErrorKind::kSystem:
      break;
  }
  return "ResourceError";
}

void set_error(const Error& error) {
  const nb::object type = nb::module_::import_("orthrus.errors").attr(class_of(error.kind()));
  // A message may name a file, whose name need not be UTF-8.
  const char* const what = error.what();
  const nb::object message = nb::steal(
      PyUnicode_DecodeUTF8(what, static_cast<Py_ssize_t>(std::strlen(what)), "backslashreplace"));
  if (message.is_valid()) PyErr_SetObject(type.ptr(), message.ptr());
}

}  // namespace

void register_errors() {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Error& error) {
      set_error(error);
    }
  });
}

}  // namespace orthrus::python
