// The checks of kernels_check, a file a subject.
#pragma once

#include <cstdint>

namespace orthrus::cuda {

// Counts what was checked and what failed; prints the failures.
class Checks {
 public:
  Checks(uint64_t seed, bool few) : seed(seed), few(few) {}

  void expect(bool good, const char* format, ...) __attribute__((format(printf, 3, 4)));
  int failed() const { return failed_; }
  int total() const { return total_; }

  // Of products: under a sanitizer large matrices take hours. The largest of a 0.5B is in.
  bool takes(int rows, int cols) const { return !few || rows * cols <= 4'500'000; }

  const uint64_t seed;
  const bool few;

 private:
  int failed_ = 0, total_ = 0;
};

void check_matmul(Checks& checks);
void check_blocks(Checks& checks);
void check_rows(Checks& checks);
void check_attention(Checks& checks);
void check_tree_attention(Checks& checks);
void check_pass(Checks& checks);
void check_select(Checks& checks);
void check_pairwise(Checks& checks);
void check_trees(Checks& checks);
void check_roofline(Checks& checks);

}  // namespace orthrus::cuda
