#include "request.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <utility>

#include "engine_options.h"
#include "orthrus/request.h"

namespace nb = nanobind;

namespace orthrus::python {

void bind_options(nb::module_& module) {
  using Options = GenerateOptions;
  using Sampling = SamplingParams;
  nb::class_<Options> bound(module, "Options");
  bound.def(nb::init<>());
  bound.def_rw("max_tokens", &Options::max_tokens)
      .def_rw("stop", &Options::stop)
      .def_rw("ignore_eos", &Options::ignore_eos)
      .def_rw("stop_token_ids", &Options::stop_token_ids)
      .def_rw("logprobs", &Options::logprobs, nb::arg().none())
      .def_rw("prompt_logprobs", &Options::prompt_logprobs, nb::arg().none())
      .def_rw("block_size", &Options::block_size)
      .def_rw("tree_nodes", &Options::tree_nodes, nb::arg().none())
      .def_rw("lookup", &Options::lookup)
      .def_rw("prefill_chunk", &Options::prefill_chunk)
      .def_rw("priority", &Options::priority)
      .def_rw("cache_salt", &Options::cache_salt);
  bound.def("set_mode", [](Options& o, const std::string& text) {
    o.mode = parse_choice("mode", text, mode_choices());
  });
  bound.def("set_accept", [](Options& o, const std::string& text) {
    o.accept = parse_choice("accept", text, accept_choices());
  });
  bound.def("bias", [](Options& o, int32_t token, float bias) {
    o.sampling.logit_bias.push_back({token, bias});
  });
  const auto sampling = [&bound](const char* name, auto Sampling::*member) {
    using Value = std::remove_reference_t<decltype(std::declval<Sampling&>().*member)>;
    bound.def_prop_rw(
        name, [member](const Options& o) { return o.sampling.*member; },
        [member](Options& o, Value value) { o.sampling.*member = value; });
  };
  sampling("temperature", &Sampling::temperature);
  sampling("top_k", &Sampling::top_k);
  sampling("top_p", &Sampling::top_p);
  sampling("min_p", &Sampling::min_p);
  sampling("seed", &Sampling::seed);
  sampling("repetition_penalty", &Sampling::repetition_penalty);
  sampling("presence_penalty", &Sampling::presence_penalty);
  sampling("frequency_penalty", &Sampling::frequency_penalty);
  bound.def_prop_ro("greedy", [](const Options& o) { return o.sampling.greedy(); });
}

}  // namespace orthrus::python
