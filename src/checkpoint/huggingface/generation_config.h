// generation_config.json: how a checkpoint suggests to choose tokens, and where its texts end.
#pragma once

#include "checkpoint/huggingface/json_fields.h"
#include "orthrus/config.h"

namespace orthrus {

// Sets what the file's fields say of `config`, whose vocab_size is known: eos_token_ids,
// generation, stop_strings, warnings. Fields that are null are as absent.
//
// How long a text may become (max_length, max_new_tokens, max_time) is not read: that is the
// request's to say.
void read_generation_config(const JsonFields& fields, ModelConfig& config);

}  // namespace orthrus
