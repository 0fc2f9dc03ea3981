#include "tokenizer.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <span>
#include <string>
#include <utility>

#include "orthrus/error.h"
#include "released.h"
#include "results.h"

namespace nb = nanobind;

namespace orthrus::python {

std::shared_ptr<const Tokenizer> TokenizerHandle::get() const {
  if (own_ != nullptr) return own_;
  std::shared_ptr<AsyncEngine> engine = host_->engine();
  const Tokenizer* const tokenizer = engine->engine().tokenizer();
  if (tokenizer == nullptr) {
    throw Error(ErrorKind::kUsage, "This model comes without a tokenizer; give token ids.");
  }
  return {std::move(engine), tokenizer};
}

void bind_tokenizer(nb::module_& module) {
  using Ids = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
  nb::class_<TokenizerHandle>(module, "Tokenizer")
      .def("__init__",
           [](TokenizerHandle* self, const std::string& model) {
             const Released released;
             new (self) TokenizerHandle(load_tokenizer(model));
           })
      .def("vocab_size", [](const TokenizerHandle& t) { return t.get()->vocab_size(); })
      .def("encode",
           [](const TokenizerHandle& handle, const std::string& text, bool prompt) {
             std::vector<int32_t> ids;
             {
               const Released released;
               const auto tokenizer = handle.get();
               ids = prompt ? tokenizer->encode_prompt(text) : tokenizer->encode(text);
             }
             return array_of(std::move(ids));
           })
      .def("decode",
           [](const TokenizerHandle& handle, const Ids& ids, bool skip_special) {
             const Released released;
             return handle.get()->decode(std::span(ids.data(), ids.size()), skip_special);
           })
      .def("token_bytes",
           [](const TokenizerHandle& handle, int32_t id) {
             const auto tokenizer = handle.get();
             const std::string_view bytes = tokenizer->token_bytes(id);
             return nb::bytes(bytes.data(), bytes.size());
           })
      .def("is_special",
           [](const TokenizerHandle& handle, int32_t id) { return handle.get()->is_special(id); })
      .def("find_added", [](const TokenizerHandle& handle, const std::string& text) {
        return handle.get()->find_added(text);
      });
}

}  // namespace orthrus::python
