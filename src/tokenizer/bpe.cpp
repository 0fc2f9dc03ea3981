#include "tokenizer/bpe.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace orthrus {
namespace {

struct ComesLater {
  template <typename Candidate>
  bool operator()(const Candidate& a, const Candidate& b) const {
    return std::tie(a.rank, a.position) > std::tie(b.rank, b.position);
  }
};

}  // namespace

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, std::span<const Merge> merges)
    : byte_ids_(byte_ids), rules_(merges.size()) {
  int32_t largest = -1;
  for (const Merge& merge : merges) largest = std::max(largest, merge.left);
  group_.assign(static_cast<size_t>(largest) + 2, 0);
  for (const Merge& merge : merges) ++group_[static_cast<size_t>(merge.left) + 1];
  std::partial_sum(group_.begin(), group_.end(), group_.begin());

  std::vector<uint32_t> free = group_;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    rules_[free[static_cast<size_t>(merge.left)]++] = {merge.right, static_cast<int32_t>(rank),
                                                       merge.result};
  }
  for (size_t left = 0; left + 1 < group_.size(); ++left) {
    std::sort(rules_.begin() + group_[left], rules_.begin() + group_[left + 1],
              [](const Rule& a, const Rule& b) { return a.right < b.right; });
  }
}

const Bpe::Rule* Bpe::find(int32_t left, int32_t right) const {
  if (static_cast<size_t>(left) + 1 >= group_.size()) return nullptr;
  const auto begin = rules_.begin() + group_[static_cast<size_t>(left)];
  const auto end = rules_.begin() + group_[static_cast<size_t>(left) + 1];
  const auto rule = std::lower_bound(
      begin, end, right, [](const Rule& candidate, int32_t id) { return candidate.right < id; });
  return rule != end && rule->right == right ? &*rule : nullptr;
}

// Queues the merge of the symbol at `position` with its right neighbour, if there is one.
void Bpe::offer(Scratch& scratch, int32_t position) const {
  const auto& symbol = scratch.symbols[static_cast<size_t>(position)];
  if (symbol.next < 0) return;
  const auto& next = scratch.symbols[static_cast<size_t>(symbol.next)];
  const Rule* rule = find(symbol.id, next.id);
  if (rule == nullptr) return;
  scratch.queue.push_back({rule->rank, position, rule->result});
  std::push_heap(scratch.queue.begin(), scratch.queue.end(), ComesLater());
}

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<int32_t>& ids) const {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  const auto size = static_cast<int32_t>(piece.size());
  symbols.clear();
  for (int32_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(piece[static_cast<size_t>(i)]);
    symbols.push_back({byte_ids_[byte], i - 1, i + 1 < size ? i + 1 : -1});
  }
  queue.clear();
  for (int32_t i = 0; i < size; ++i) offer(scratch, i);

  while (!queue.empty()) {
    const auto best = queue.front();
    std::pop_heap(queue.begin(), queue.end(), ComesLater());
    queue.pop_back();
    auto& left = symbols[static_cast<size_t>(best.position)];
    if (left.id < 0 || left.next < 0) continue;
    auto& right = symbols[static_cast<size_t>(left.next)];
    // Neighbours may have changed since the merge was queued. Like the reference implementation,
    // this asks only whether they still give the same token, by whichever pair.
    const Rule* rule = find(left.id, right.id);
    if (rule == nullptr || rule->result != best.result) continue;
    left.id = best.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position;
    if (left.previous >= 0) offer(scratch, left.previous);
    offer(scratch, best.position);
  }
  for (const auto& symbol : symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
}

}  // namespace orthrus
