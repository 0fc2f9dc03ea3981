// How much of the vocabulary drafts are chosen from.
#pragma once

#include <cstdint>
#include <span>

namespace orthrus {

// The ids of a byte-level BPE are in the order of its merges, the commonest first, and the LM head
// is a third of what a small model's pass reads. A text that seldom uses the later ids loses few
// drafts where its draft passes leave out their rows; what comes out of it never changes, since
// drafts are verified.
//
// So many tokens, from the first on, as hold all but few of the last ones of `text`, the prompt and
// what was generated; at most `vocab_size`. Tokens from `special` on, which chat formats put
// between texts, are not counted. All, where there is nothing to go by.
int draft_vocabulary(std::span<const int32_t> text, int special, int vocab_size);

}  // namespace orthrus
