// orthrus._native: what the package's modules are made of, and no one else's business.
#include <nanobind/nanobind.h>

#include "chat.h"
#include "engine.h"
#include "errors.h"
#include "request.h"
#include "results.h"
#include "stream.h"
#include "tokenizer.h"

NB_MODULE(_native, module) {
  // The interpreter may end while a global variable still has an engine.
  nanobind::set_leak_warnings(false);
  module.attr("__version__") = ORTHRUS_VERSION;
  orthrus::python::register_errors();
  orthrus::python::bind_options(module);
  orthrus::python::bind_results(module);
  orthrus::python::bind_streams(module);
  orthrus::python::bind_tokenizer(module);
  orthrus::python::bind_chat(module);
  orthrus::python::bind_engine(module);
}
