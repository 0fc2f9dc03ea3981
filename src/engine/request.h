// Checking a request, and turning it into the decoder's parameters.
#pragma once

#include "decode/decoder.h"
#include "orthrus/engine.h"

namespace orthrus {

// Throws Error(kUsage), naming the option, its value and its range.
DecodeParams check_request(const ModelConfig& config, const Request& request, bool has_tokenizer);

}  // namespace orthrus
