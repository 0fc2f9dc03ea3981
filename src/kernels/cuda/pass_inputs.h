// What a pass reads of its spans, on the device: everything that differs from pass to pass, so that
// its kernels can be captured once and launched as a graph.
#pragma once

#include <cstdint>

#include "base/view.h"
#include "kernels/cuda/kv_tiles.h"
#include "kernels/cuda/select.h"

namespace orthrus::cuda {

struct PassCounts {
  PerView<int> rows, spans;
  int all_rows = 0;  // of the pass, with the unused ones between the views
  int logits = 0;    // rows of the LM head whose logits are needed
  int tops = 0;      // rows of which the largest is
  int unused = 0;    // what follows in memory begins at a multiple of 8 bytes
};

struct PassInputs {
  PassCounts* counts = nullptr;
  SelectRow* select = nullptr;  // by row of the LM head whose logits are needed
  int32_t* ids = nullptr;       // by row
  int* head_rows = nullptr;  // the rows whose logits are needed, then those of which the largest is
  PerView<KvSpan*> spans;
  // Where some span is a branch, of rows of the AR view: other pages that they belong to, and which
  // row each comes behind.
  RowCopies* copies = nullptr;
  int* parents = nullptr;
  int* page_table = nullptr;
};

}  // namespace orthrus::cuda
