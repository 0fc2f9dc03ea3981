// The fields that chat and text completions share: how to generate.
#pragma once

#include <cstdint>

#include "orthrus/config.h"
#include "orthrus/request.h"
#include "server/api/fields.h"
#include "server/server_info.h"

namespace orthrus::server::openai {

// How a request is to be done, and answered.
struct GenerationFields {
  // The checkpoint's defaults where the request says nothing; the seed is that of the first choice.
  // Log-probabilities are not among them: the two forms ask for them in their own ways.
  GenerateOptions options;
  int n = 1;  // choices for each prompt
  bool stream = false;
  bool include_usage = false;  // of a stream: a last piece with it
  bool passes = false;         // of a stream: a piece for each pass, which says what it gave
  bool return_token_ids = false;
};

// Throws ApiError for fields outside their ranges, and for what would constrain the text in ways
// that cannot be guaranteed. Without max_tokens, `default_max_tokens`.
GenerationFields read_generation(const Fields& body, const ServerInfo& info,
                                 const ModelConfig& config, int default_max_tokens);

// Throws ApiError (404) when the body names a model that is not served.
void check_model(const Fields& body, const ServerInfo& info);

}  // namespace orthrus::server::openai
