// The fields that every API has: how tokens are chosen, and where the text ends.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orthrus/config.h"
#include "orthrus/request.h"
#include "server/api/fields.h"
#include "server/server_info.h"

namespace orthrus::server {

// "temperature", "top_p", "top_k", "min_p", "seed", penalties and "logit_bias"; the checkpoint's
// defaults where the request says nothing. Without a seed, one of each request's own.
SamplingParams read_sampling(const Fields& body, const ServerInfo& info, const ModelConfig& config);

// A string or a list of strings; none where the field is absent.
std::vector<std::string> read_stops(const Fields& body, std::string_view name);

// "priority" and "cache_salt".
void read_scheduling(const Fields& body, GenerateOptions& options);

// "orthrus", which is our own: "mode", "block_size", "tree_nodes" and "lookup", which change the
// speed only. Says whether it asks for "passes".
bool read_own(const Fields& body, const ModelConfig& config, GenerateOptions& options);

}  // namespace orthrus::server
