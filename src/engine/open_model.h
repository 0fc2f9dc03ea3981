// A model with the heads that go with it.
#pragma once

#include <filesystem>
#include <optional>

#include "checkpoint/checkpoint.h"

namespace orthrus {

// In the place of a file of heads: none, not even those that lie beside the model.
inline constexpr const char* kNoHeads = "none";

// The model with `heads`, or where none are given with those that lie beside it (find_heads),
// checked to fit it. Heads that were found must not name another base; given ones may, which is how
// a fine-tuned model keeps its drafts; with kNoHeads it has none. A model with a diffusion view of
// its own takes no others: those beside it are not looked at, given ones are refused. Throws as
// Checkpoint::open, open_heads and check_heads; Error(kUsage) for heads that the model does not
// take.
Checkpoint open_model(const std::filesystem::path& model,
                      const std::optional<std::filesystem::path>& heads);

}  // namespace orthrus
