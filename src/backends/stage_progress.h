// A stage of loading, for those who know of no others.
#pragma once

#include "orthrus/load_progress.h"

namespace orthrus {

// `progress` must outlive the result.
inline std::function<void(size_t done, size_t total)> of_stage(const LoadProgress& progress,
                                                               LoadStage stage) {
  if (!progress) return {};
  return [&progress, stage](size_t done, size_t total) { progress(stage, done, total); };
}

}  // namespace orthrus
