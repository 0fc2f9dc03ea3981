// Which matrices of a network a CUDA device stores, and in which forms.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "kernels/cuda/block_layout.h"
#include "network/network_weights.h"

namespace orthrus::cuda {

// Matrices that take the same input are one on the device: either the rows of each lie below those
// of the last, or some rows of each lie in turn, as matmul_swiglu takes gate and up.
struct PlannedMatrix {
  std::vector<const Matrix*> parts;
  WeightForm form = WeightForm::kBf16;
  int in_turn = 0;  // rows of each part, all of which have the same multiple; or 0: all rows

  // Calls run(part, first_row, rows) for all rows in the order that they have on the device; `part`
  // is a place in `parts`.
  template <typename Run>
  void for_runs(const Run& run) const {
    if (in_turn == 0) {
      for (size_t part = 0; part < parts.size(); ++part) run(part, 0, parts[part]->rows);
      return;
    }
    for (int row = 0; row < parts.front()->rows; row += in_turn) {
      for (size_t part = 0; part < parts.size(); ++part) run(part, row, in_turn);
    }
  }

  int rows() const;
  int cols() const { return parts.front()->cols; }
  size_t bytes() const;
};

// Places in WeightPlan::matrices. Of gate_up and down the diffusion view's may be the AR view's.
struct PlannedLayer {
  PerView<std::vector<size_t>> qkv;  // q_proj, k_proj, v_proj: neighbours of one form are one
  PerView<size_t> o, gate_up, down;
};

struct WeightPlan {
  std::vector<const Matrix*> tables;  // of which rows are looked up, in BF16; the embedding first
  std::vector<PlannedMatrix> matrices;
  std::vector<PlannedLayer> layers;
  PerView<std::optional<size_t>> lm_head;  // none: the embedding
  PerView<std::vector<size_t>> read;       // the matrices that a pass in a view multiplies with

  double bytes() const;
  size_t weights() const;  // numbers
  // Of what a pass in this view multiplies with, by the type it has on the device.
  std::map<DType, double> bytes_read(View view) const;
  // The formats of blocks that some of that has in the file, but not on the device.
  std::set<DType> widened(View view) const;
};

// `wanted`: BF16, to which all can be converted, Q8_0, or native: the integers of a file's blocks,
// with scales in BF16, and in BF16 what is not in blocks, or shares a matrix with blocks that no
// form holds beside it. Points into `weights`.
WeightPlan plan_weights(const ModelConfig& config, const NetworkWeights& weights,
                        const PerView<WeightType>& wanted);

// A network of this shape without a file: matrices in BF16 that have no data, and no vectors.
NetworkWeights imagined_weights(const ModelConfig& config);

}  // namespace orthrus::cuda
