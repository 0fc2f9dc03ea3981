// Chats to prompts, and answers to messages.
#pragma once

#include <nanobind/nanobind.h>

namespace orthrus::python {

void bind_chat(nanobind::module_& module);

}  // namespace orthrus::python
