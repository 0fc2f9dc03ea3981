#include "cache/prefix_index.h"

#include <algorithm>
#include <new>

namespace orthrus {
namespace {

size_t common(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto [end, other] = std::ranges::mismatch(a, b);
  return static_cast<size_t>(end - a.begin());
}

std::span<const int32_t> page_of(std::span<const int32_t> tokens) {
  return tokens.first(std::min<size_t>(tokens.size(), kPageSize));
}

}  // namespace

bool PrefixIndex::Less::operator()(std::span<const int32_t> a, std::span<const int32_t> b) const {
  return std::ranges::lexicographical_compare(a, b);
}

PrefixIndex::Match PrefixIndex::find(std::string_view salt, std::span<const int32_t> tokens) {
  Match match;
  const auto root = roots_.find(salt);
  if (root == roots_.end()) return match;
  Children* children = &root->second;
  Node* last = nullptr;
  while (!tokens.empty()) {
    const auto wanted = page_of(tokens);
    // Of sorted texts the one with the longest common beginning stands beside the wanted one.
    const auto after = children->lower_bound(wanted);
    Node* best = nullptr;
    size_t length = 0;
    const auto consider = [&](const Children::value_type& child) {
      const size_t shared = common(child.first, wanted);
      if (shared > length) best = child.second.get(), length = shared;
    };
    if (after != children->end()) consider(*after);
    if (after != children->begin()) consider(*std::prev(after));
    if (best == nullptr) break;
    last = best;
    if (length < kPageSize) {
      match.partial = best->page;
      match.partial_length = static_cast<int>(length);
      break;
    }
    match.full.push_back(best->page);
    children = &best->children;
    tokens = tokens.subspan(kPageSize);
  }
  touch(last);
  return match;
}

void PrefixIndex::insert(std::string_view salt, std::span<const int32_t> tokens,
                         const KvSequence& sequence) try {
  if (tokens.empty()) return;
  auto root = roots_.find(salt);
  if (root == roots_.end()) root = roots_.emplace(salt, Children()).first;
  Children* children = &root->second;
  Node* parent = nullptr;
  for (size_t i = 0; !tokens.empty(); ++i) {
    const auto own = page_of(tokens);
    const auto after = children->lower_bound(own);
    // A longer text that begins like this one serves as well.
    const bool known = after != children->end() && common(after->first, own) == own.size();
    Node* const node = known ? after->second.get()
                             : add(*children, parent, root->first, own, sequence.shares()[i]);
    if (!known) {  // a shorter one that this one begins with serves no longer
      if (node->self != children->begin()) {
        const auto before = std::prev(node->self);
        if (common(before->first, own) == before->first.size()) forget(*before->second);
      }
    }
    parent = node;
    if (own.size() < kPageSize) break;
    children = &node->children;
    tokens = tokens.subspan(kPageSize);
  }
  touch(parent);
  if (nodes_.size() > most_pages_) evict(nodes_.size() - most_pages_);
} catch (const std::bad_alloc&) {
}

PrefixIndex::Node* PrefixIndex::add(Children& children, Node* parent, std::string_view salt,
                                    std::span<const int32_t> tokens, const KvPage& page) {
  std::list<Node*> use(1);
  auto made = std::make_unique<Node>(Node{.parent = parent, .salt = salt, .page = page});
  Node* const node = made.get();
  node->self = children.emplace(std::vector(tokens.begin(), tokens.end()), std::move(made)).first;
  use.front() = node;
  node->use = use.begin();
  nodes_.splice(nodes_.end(), use);
  return node;
}

PrefixIndex::Children& PrefixIndex::siblings_of(const Node& node) {
  return node.parent != nullptr ? node.parent->children : roots_.find(node.salt)->second;
}

// It has no children.
void PrefixIndex::forget(Node& node) {
  nodes_.erase(node.use);
  Children& siblings = siblings_of(node);
  const std::string_view salt = node.salt;
  const bool at_root = node.parent == nullptr;
  siblings.erase(node.self);
  if (at_root && siblings.empty()) roots_.erase(roots_.find(salt));
}

void PrefixIndex::touch(Node* leaf) {
  for (Node* node = leaf; node != nullptr; node = node->parent) {
    nodes_.splice(nodes_.end(), nodes_, node->use);
  }
}

// Whether its page could be free, or one that is known up to it alone: a sequence may hold a page
// without those before it, where it had computed them itself when others' became known.
bool PrefixIndex::bars(const Node& leaf) {
  for (const Node* node = &leaf; node != nullptr; node = node->parent) {
    if (node->page.holders() == 1) return true;
  }
  return false;
}

size_t PrefixIndex::evict(size_t pages) {
  size_t freed = 0;
  for (auto next = nodes_.begin(); freed < pages && next != nodes_.end();) {
    Node& node = **next++;
    if (!node.children.empty() || !bars(node)) continue;
    if (node.page.holders() == 1) ++freed;
    forget(node);
  }
  return freed;
}

size_t PrefixIndex::evictable() const {
  return static_cast<size_t>(
      std::ranges::count_if(nodes_, [](const Node* node) { return node->page.holders() == 1; }));
}

}  // namespace orthrus
