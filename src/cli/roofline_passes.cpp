#include "cli/roofline_passes.h"

#include <algorithm>
#include <limits>
#include <map>

namespace orthrus::cli {
namespace {

// Among them the model's own block.
std::vector<int> default_rows(const Device& device, int block) {
  std::vector<int> rows = {1, 2, 4, 8, 16, 32, 256};
  if (!device.is_cpu()) rows = {1, 2, 4, 8, 16, 32, 64, 128, 2048};
  const auto at = std::lower_bound(rows.begin(), rows.end(), block);
  if (block > 0 && block <= kMostVerified && *at != block) rows.insert(at, block);
  return rows;
}

// Those that leave room for `rows`; of a model that has none of them, half its own.
std::vector<int> default_contexts(const Device& device, int rows, int most) {
  std::vector<int> contexts = {512};
  if (!device.is_cpu()) contexts = {512, 4096, 16384, 32768};
  std::erase_if(contexts, [&](int context) { return context > most - rows; });
  if (contexts.empty()) contexts.push_back(most / 2);
  return contexts;
}

}  // namespace

std::vector<PassShape> passes_of(const ModelConfig& config, const Device& device,
                                 const PassLists& lists) {
  const int most = config.max_position_embeddings;
  const std::vector<int> rows = lists.rows.value_or(default_rows(device, config.block_size));
  const int needed = lists.rows ? *std::max_element(rows.begin(), rows.end()) : 1;
  std::vector<PassShape> passes;
  for (const int context : lists.contexts.value_or(default_contexts(device, needed, most))) {
    const auto add = [&](PassKind kind, int least, int last, int rows_less) {
      for (const int count : rows) {
        // A context that is too long even for one row is not left out, but an error.
        if (!lists.rows && count > 1 && count > most - context) continue;
        if (count >= least && count <= last) passes.push_back({kind, count - rows_less, context});
      }
    };
    add(PassKind::kAr, 0, kMostVerified, 0);
    add(PassKind::kDraft, 2, std::min(config.block_size, kMostVerified), 1);
    add(PassKind::kPrefill, kMostVerified + 1, std::numeric_limits<int>::max(), 0);
  }
  return passes;
}

int most_accepted(const std::vector<PassShape>& passes) {
  std::map<int, int> of_context;
  for (const PassShape& pass : passes) {
    if (pass.kind != PassKind::kDraft) continue;
    of_context[pass.context] = std::max(of_context[pass.context], pass.rows);
  }
  int most = std::numeric_limits<int>::max();
  for (const auto& [context, rows] : of_context) most = std::min(most, rows);
  return of_context.empty() ? 0 : most;
}

std::vector<Cycle> cycles_of(const Roofline& roofline) {
  const auto seconds_of = [&](const PassShape& shape) -> std::optional<double> {
    for (const PassMeasurement& pass : roofline.passes) {
      if (pass.shape == shape) return pass.seconds;
    }
    return std::nullopt;
  };
  std::vector<Cycle> cycles;
  for (const PassMeasurement& draft : roofline.passes) {
    const auto [kind, rows, context] = draft.shape;
    if (kind != PassKind::kDraft) continue;
    const auto verify_seconds = seconds_of({PassKind::kAr, rows + 1, context});
    if (!verify_seconds) continue;
    const Cycle cycle{context, rows + 1, draft.seconds, *verify_seconds,
                      seconds_of({PassKind::kAr, 1, context})};
    const auto same = std::find_if(cycles.begin(), cycles.end(),
                                   [&](const Cycle& c) { return c.context == cycle.context; });
    if (same == cycles.end()) {
      cycles.push_back(cycle);
    } else if (same->block < cycle.block) {
      *same = cycle;
    }
  }
  return cycles;
}

}  // namespace orthrus::cli
