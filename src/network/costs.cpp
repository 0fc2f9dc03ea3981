#include "network/costs.h"

#include "network/network_weights.h"

namespace orthrus {

double pass_flops(const ModelConfig& config, View view, int rows, int head_rows, int context) {
  double products = 0;
  for (const TensorSpec& spec : multiplied_matrices(config, view)) {
    const bool is_head = spec.part == "LM head";
    products += static_cast<double>(spec.shape[0]) * static_cast<double>(spec.shape[1]) *
                (is_head ? head_rows : rows);
  }
  const double of_row = view == View::kDiffusion ? context + rows : context + (rows + 1) / 2.0;
  const double seen = of_row * rows;  // pairs of a row and a position, in each layer
  // Each of them: a score, and a share of a value, for every query head.
  const double attention =
      2.0 * seen * config.num_attention_heads * config.head_dim * config.num_hidden_layers;
  return 2 * (products + attention);
}

}  // namespace orthrus
