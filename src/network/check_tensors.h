// Whether a file's tensors are those that a network has.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "checkpoint/heads.h"
#include "network/network_weights.h"

namespace orthrus {

// Throws Error(kFile) unless `tensors`, sorted by name, are those of `specs`, no more and no fewer
// but for the angles of rotation (rotary_emb.inv_freq) and biases of zeros. The message is `title`
// and lists of what is missing, misshapen and unexpected, each of `most` lines at most: a wrong
// file can have thousands.
void check_tensors(std::span<const TensorSpec> specs, std::span<const Tensor> tensors,
                   const std::string& title, size_t most = 20);

// Whether heads fit a model without a diffusion view: its layers, shapes, norms, biases and
// vocabulary, and whether a pairwise term is whole. Throws Error(kFile), naming both files.
void check_heads(const Heads& heads, const Checkpoint& base);

}  // namespace orthrus
