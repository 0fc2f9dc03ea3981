#pragma once

#include "base/as_written.h"
#include "orthrus/sampling.h"

namespace orthrus {

// Into an object, of JSON or a dictionary, under the names that files and requests have for them. A
// seed and biases are not among them: who has those to say says them its own way.
template <typename Object>
void put_sampling_settings(Object& object, const SamplingParams& sampling) {
  object["temperature"] = as_written(sampling.temperature);
  object["top_k"] = sampling.top_k;
  object["top_p"] = as_written(sampling.top_p);
  object["min_p"] = as_written(sampling.min_p);
  object["repetition_penalty"] = as_written(sampling.repetition_penalty);
  object["presence_penalty"] = as_written(sampling.presence_penalty);
  object["frequency_penalty"] = as_written(sampling.frequency_penalty);
}

}  // namespace orthrus
