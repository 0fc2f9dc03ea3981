#include "engine/open_model.h"

#include <fmt/format.h>

#include <utility>

#include "checkpoint/heads.h"
#include "files/display.h"
#include "network/check_tensors.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;

void add(Checkpoint& checkpoint, Heads heads) {
  check_heads(heads, checkpoint);
  checkpoint.add_heads(std::move(heads));
}

void check_base(const Heads& heads, const Checkpoint& checkpoint) {
  const std::string& name = checkpoint.config().name;
  if (may_be_same_model(heads.base, name)) return;
  throw Error(ErrorKind::kFile,
              fmt::format("{}: these heads are for {}, but {} is {}.", heads.name,
                          in_quotes(heads.base), checkpoint.name(), in_quotes(name)));
}

void add_found(Checkpoint& checkpoint, const fs::path& file) {
  try {
    Heads heads = open_heads(file);
    check_base(heads, checkpoint);
    add(checkpoint, std::move(heads));
  } catch (const Error& error) {
    throw Error(error.kind(),
                fmt::format("{}\n{} was found beside the model; --heads none does without, --heads "
                            "FILE takes others, or heads for another base all the same.",
                            error.what(), shown(file)));
  }
}

}  // namespace

Checkpoint open_model(const fs::path& model, const std::optional<fs::path>& given) {
  Checkpoint checkpoint = Checkpoint::open(model);
  const bool has_own = checkpoint.config().has_diffusion_view();
  if (given == kNoHeads) return checkpoint;
  if (given && has_own) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: the model has a diffusion view of its own, so it takes no heads; "
                            "leave out {}.",
                            checkpoint.name(), shown(*given)));
  }
  if (given) {
    add(checkpoint, open_heads(*given));
  } else if (!has_own) {
    if (const auto found = find_heads(checkpoint.path())) add_found(checkpoint, *found);
  }
  return checkpoint;
}

}  // namespace orthrus
