// Which rows a pass has, and what the LM head is to do with them: what every backend decides alike.
#pragma once

#include <span>
#include <vector>

#include "base/view.h"
#include "network/span.h"
#include "orthrus/status.h"

namespace orthrus {

// Rows of AR spans come before those of diffusion spans, each in the order of the spans.
//
// A row of the LM head is *full*, all its logits being computed and kept, or a *top* row, of which
// only the largest logit is found. Full rows come first; of each kind AR rows come before diffusion
// rows, so that each kind is one product, or one for each view.
struct PassPlan {
  struct SpanRows {
    int first_row = 0;        // among those of its view
    bool full = false;        // its head rows are
    bool logits = false;      // and are asked for as they are
    bool candidates = false;  // and their candidates are asked for
    bool chained = false;     // tokens are chosen from them one after the other
    int first_head_row = 0;   // among those of their kind
    int head_rows = 0;
    int first_sampled = 0;  // of rows to sample: among all of them
    int first_logits = 0;   // where logits are asked for: among all such rows
    int context = -1;       // of rows to sample: its place among `contexts`
  };
  // A full row that a token is chosen from.
  struct Sampled {
    int head_row;
    size_t span;
    int row;  // of the span

    int position(std::span<const Span> spans) const {  // of the token
      return spans[span].position(row) + 1;
    }
  };

  // `pairwise`: choices of diffusion spans are made with the pairwise term (kernels/pairwise.h), so
  // one after the other, from full rows. A backend that passes false makes them without it.
  // Memory is kept from pass to pass. kOutOfMemory where an AR span's sequence has no room for it.
  // Throws std::bad_alloc.
  Status make(std::span<const Span> of, bool pairwise = false);

  int all_rows() const { return rows.ar + rows.diffusion; }
  int full_rows() const { return full.ar + full.diffusion; }
  int top_rows() const { return top.ar + top.diffusion; }

  PerView<int> rows{}, full{}, top{};
  std::vector<SpanRows> spans;
  std::vector<Sampled> sampled;  // a span's are neighbours
  std::vector<const RowContext*> contexts;
  int logits_rows = 0;       // full rows that are asked for as they are
  bool probability = false;  // some top row's probability is asked for
  int draft_vocabulary = 0;  // no diffusion span looks at tokens from this one on
  int longest = 0;           // context, the span's own rows included
  int block_pages = 0;       // of diffusion spans, each of which begins a page
};

}  // namespace orthrus
