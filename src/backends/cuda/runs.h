// Where consecutive bytes go that lie in runs on a device, with something else between them.
#pragma once

#include <algorithm>
#include <cstddef>

namespace orthrus::cuda {

class Runs {
 public:
  // Runs of `run` bytes, of which the first begins at `first` and each next one `step` bytes on.
  Runs(size_t first, size_t run, size_t step) : first_(first), run_(run), step_(step) {}

  // `rows` times `bytes` consecutive bytes, which go to `at`, at + step and so on.
  struct Piece {
    const std::byte* data;
    size_t bytes, rows, at, step;
  };

  // The next bytes: calls put(piece) for the rest of a run, for whole ones, and for the beginning
  // of one.
  template <typename Put>
  void put(const std::byte* data, size_t bytes, const Put& put) {
    while (bytes > 0) {
      const size_t in_run = done_ % run_, whole = in_run == 0 ? bytes / run_ : 0;
      Piece piece = {data, run_, whole, first_ + done_ / run_ * step_ + in_run, step_};
      if (whole == 0) piece.bytes = std::min(bytes, run_ - in_run), piece.rows = 1;
      put(piece);
      const size_t count = piece.bytes * piece.rows;
      data += count, bytes -= count, done_ += count;
    }
  }

 private:
  size_t first_, run_, step_, done_ = 0;
};

}  // namespace orthrus::cuda
