#include "results.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace nb = nanobind;

namespace orthrus::python {
namespace {

// [n], [n, k] and [n, k].
struct FlatLogprobs {
  std::vector<float> chosen, top;
  std::vector<int32_t> top_ids;
};

std::string_view spelled(Status status) {
  switch (status) {
    case Status::kOk:
      return "ok";
    case Status::kOutOfMemory:
      return "out_of_memory";
    case Status::kNoThreads:
      return "no_threads";
    case Status::kNonFiniteLogits:
      return "non_finite_logits";
    case Status::kDeviceLost:
      break;
  }
  return "device_lost";
}

nb::dict dict_of(const GenerationStats& s) {
  nb::dict stats;
  stats["prefill_passes"] = s.prefill_passes;
  stats["cached_tokens"] = s.cached_tokens;
  stats["ar_passes"] = s.ar_passes;
  stats["diffusion_passes"] = s.diffusion_passes;
  stats["cycles"] = s.cycles;
  stats["accepted"] = s.accepted;
  stats["preemptions"] = s.preemptions;
  stats["queue_seconds"] = s.queue_seconds;
  stats["prefill_seconds"] = s.prefill_seconds;
  stats["decode_seconds"] = s.decode_seconds;
  stats["generated"] = s.generated;
  stats["acceptance_length"] = s.acceptance_length();
  stats["tokens_per_forward"] = s.tokens_per_forward();
  stats["tokens_per_second"] = s.tokens_per_second();
  return stats;
}

}  // namespace

nb::object array_of(std::vector<int32_t> ids) {
  const auto kept = std::make_shared<const std::vector<int32_t>>(std::move(ids));
  return view(kept->data(), {kept->size()}, kept);
}

nb::object tuple_of(std::span<const TokenLogprobs> logprobs) {
  const auto flat = std::make_shared<FlatLogprobs>();
  const size_t n = logprobs.size();
  size_t k = 0;
  for (const TokenLogprobs& token : logprobs) k = std::max(k, token.top.size());
  flat->chosen.reserve(n);
  flat->top.assign(n * k, -std::numeric_limits<float>::infinity());
  flat->top_ids.assign(n * k, -1);
  for (size_t i = 0; i < n; ++i) {
    flat->chosen.push_back(logprobs[i].chosen.logprob);
    for (size_t j = 0; j < logprobs[i].top.size(); ++j) {
      flat->top[i * k + j] = logprobs[i].top[j].logprob;
      flat->top_ids[i * k + j] = logprobs[i].top[j].token;
    }
  }
  return nb::make_tuple(view(flat->chosen.data(), {n}, flat),
                        view(flat->top_ids.data(), {n, k}, flat),
                        view(flat->top.data(), {n, k}, flat));
}

void bind_results(nb::module_& module) {
  const auto logprobs = [](std::vector<TokenLogprobs> Generation::*member) {
    return [member](const Result& r) { return tuple_of(r.generation.get()->*member); };
  };
  nb::class_<Result>(module, "Result")
      .def_prop_ro("token_ids",
                   [](const Result& r) {
                     const std::vector<int32_t>& ids = r.generation->output_ids;
                     return view(ids.data(), {ids.size()}, r.generation);
                   })
      .def_prop_ro("text", [](const Result& r) { return r.generation->text; })
      .def_prop_ro("finish_reason",
                   [](const Result& r) { return name_of(r.generation->finish_reason); })
      .def_prop_ro("stop_string", [](const Result& r) { return r.generation->stop_string; })
      .def_prop_ro("status", [](const Result& r) { return spelled(r.generation->status); })
      .def_prop_ro("status_text", [](const Result& r) { return describe(r.generation->status); })
      .def_prop_ro("logprobs", logprobs(&Generation::logprobs))
      .def_prop_ro("prompt_logprobs", logprobs(&Generation::prompt_logprobs))
      .def_prop_ro("stats", [](const Result& r) { return dict_of(r.generation->stats); });
}

}  // namespace orthrus::python
