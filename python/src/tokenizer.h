// Tokenizers, of an engine or alone.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "host.h"
#include "orthrus/tokenizer.h"

namespace orthrus::python {

// The tokenizer that `host` has, or one of its own.
class TokenizerHandle {
 public:
  explicit TokenizerHandle(std::shared_ptr<Host> host) : host_(std::move(host)) {}
  explicit TokenizerHandle(Tokenizer own)
      : own_(std::make_shared<const Tokenizer>(std::move(own))) {}

  // Throws Error(kUsage) where the engine is closed, or its model has none.
  std::shared_ptr<const Tokenizer> get() const;

 private:
  std::shared_ptr<Host> host_;
  std::shared_ptr<const Tokenizer> own_;
};

void bind_tokenizer(nanobind::module_& module);

}  // namespace orthrus::python
