// How a pass runs in one kernel, and whether it does.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "kernels/cuda/device_features.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/layers.h"
#include "kernels/cuda/layers_kernel.cuh"

namespace orthrus::cuda {
namespace {

using namespace in_one;

// Beyond this, a layer's weights take so long that nothing is gained.
constexpr double kMostLayerBytes = 128e6;

using Kernel = void (*)(LayersJob);

template <int D>
Kernel kernel_for(int) {
  return layers_kernel<D, 8>;
}

// How a pass runs, or that it can't.
struct LayersPlan {
  Kernel kernel = nullptr;
  int blocks = 0, shared_bytes = 0;
  LayersJob job = {};  // products, and where what lies
};

int tokens_for(int rows) {
  return rows <= 8 ? 8 : rows <= 16 ? 16 : 32;
}

cudaLaunchConfig_t config_of(const LayersPlan& plan, cudaLaunchAttribute (&attributes)[2],
                             cudaStream_t stream) {
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {kCluster, 1, 1};
  attributes[1].id = cudaLaunchAttributeCooperative;
  attributes[1].val.cooperative = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(plan.blocks));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = static_cast<size_t>(plan.shared_bytes);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  return config;
}

Product product_of(int rows, int cols, int boxes, int out_rows, int clusters) {
  Product p;
  p.out_rows = out_rows, p.k_blocks = cols / kBlockK, p.splits = split_count(rows, cols);
  const int teams = clusters * kCluster / p.splits;
  const auto tiles = [&](int height) {
    return (rows + height * kBoxRows - 1) / (height * kBoxRows);
  };
  const auto rounds = [&](int height) { return (tiles(height) + teams - 1) / teams; };
  // Who has most of them has as few rows as can be.
  p.boxes = boxes > 0 ? boxes : rounds(1) <= 2 * rounds(2) ? 1 : 2;
  p.tiles = tiles(p.boxes), p.rounds = rounds(p.boxes);
  return p;
}

// Of one multiprocessor each, as many blocks as fit; each has as long a ring as fits.
LayersPlan plan_of(const LayersShape& shape, int rows) {
  LayersPlan plan;
  const auto& [heads, layers, hidden, intermediate] = shape;
  const int dim = heads.head_dim, q_cols = heads.heads * dim;
  const int qkv_rows = q_cols + 2 * heads.kv_heads * dim, tokens = tokens_for(rows);
  if (!has_wgmma() || rows > 8 || (dim != 64 && dim != 128) || hidden > kMostHidden ||
      hidden % kBlockK != 0 || intermediate % kBlockK != 0 || q_cols % kBlockK != 0) {
    return plan;
  }
  const Kernel kernel = dim == 64 ? kernel_for<64>(rows) : kernel_for<128>(rows);
  cudaFuncAttributes compiled;
  cudaLaunchAttribute attributes[2];
  int most = 0, clusters = 0;
  if (cudaFuncGetAttributes(&compiled, kernel) != cudaSuccess ||
      most_shared_memory(&most) != cudaSuccess) {
    return plan;
  }
  plan.shared_bytes = most - static_cast<int>(compiled.sharedSizeBytes);
  plan.blocks = kCluster;
  cudaLaunchConfig_t config = config_of(plan, attributes, nullptr);
  config.numAttrs = 1;  // clusters alone
  if (allow_shared_memory(kernel, plan.shared_bytes, compiled) != cudaSuccess ||
      cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) != cudaSuccess || clusters == 0) {
    return plan;
  }
  plan.blocks = clusters * kCluster;
  Product(&products)[kMatrices] = plan.job.products;
  products[kQkv] = product_of(qkv_rows, hidden, dim / kBoxRows, qkv_rows, clusters);
  products[kO] = product_of(hidden, q_cols, 0, hidden, clusters);
  products[kGateUp] = product_of(2 * intermediate, hidden, 2, intermediate, clusters);
  products[kDown] = product_of(hidden, intermediate, 0, hidden, clusters);
  int token_bytes = 0, sum_bytes = 0;
  for (const Product& p : products) {
    const bool parted = p.splits == kCluster || &p == &products[kGateUp];
    if (!parted || p.rounds > kMostRounds) return plan;
    token_bytes =
        std::max(token_bytes, (p.k_blocks + p.splits - 1) / p.splits * tokens * kBlockK * 2);
    sum_bytes = std::max(sum_bytes, p.rounds * tokens * p.boxes * kBoxRows * 4);
  }
  const int attention_bytes = dim == 64 ? kAttentionBytes<64> : kAttentionBytes<128>;
  const int ring = plan.shared_bytes - 1024 - attention_bytes - token_bytes - sum_bytes;
  plan.job.stages = std::min(ring / kStageBytes, kMostStages);
  if (ring < kLeastStages * kStageBytes) return plan;
  plan.job.attention_at = plan.job.stages * kStageBytes;
  plan.job.tokens_at = plan.job.attention_at + attention_bytes;
  plan.job.sums_at = plan.job.tokens_at + token_bytes;
  plan.kernel = kernel;
  return plan;
}

}  // namespace

cudaError_t pack_layer(const LayerWeights& weights, PackedLayer* packed) {
  const MatrixView* const matrices[kMatrices] = {&weights.qkv, &weights.o, &weights.gate_up,
                                                 &weights.down};
  for (int i = 0; i < kMatrices; ++i) {
    const MatrixView& w = *matrices[i];
    const cudaError_t error =
        make_tensor_map(static_cast<const __nv_bfloat16*>(w.data), w.rows, w.cols,
                        static_cast<size_t>(w.cols), kBoxRows, &packed->matrices[i]);
    if (error != cudaSuccess) return error;
  }
  packed->input_norm = weights.input_norm;
  packed->post_attention_norm = weights.post_attention_norm;
  packed->qkv_bias = weights.qkv_bias;
  packed->q_norm = weights.q_norm, packed->k_norm = weights.k_norm;
  return cudaSuccess;
}

bool layers_fit(const LayersShape& shape, int rows, int positions) {
  const double q_cols = 1.0 * shape.heads.heads * shape.heads.head_dim;
  const double kv_cols = 1.0 * shape.heads.kv_heads * shape.heads.head_dim;
  const double bytes = 2.0 * shape.hidden * (2 * q_cols + 2 * kv_cols + 3.0 * shape.intermediate);
  // A multiprocessor has one block of attention instead of two.
  constexpr int kMostPositions = 8192;
  return bytes <= kMostLayerBytes && positions <= kMostPositions &&
         plan_of(shape, rows).kernel != nullptr;
}

void dump_stamps() {
  static long long t[132][64];
  cudaDeviceSynchronize();
  cudaMemcpyFromSymbol(t, g_stamps, sizeof t);
  for (int b : {0, 30, 100, -1}) {
    std::printf(b < 0 ? "mean " : "%4d ", b);
    for (int i = 0; i < 50; ++i) {
      if (i % 10 == 0) std::printf(" |");
      double sum = 0;
      int n = 0;
      for (int k = b < 0 ? 0 : b; k < (b < 0 ? 120 : b + 1); ++k) {
        if (t[k][i] >= t[k][0] && t[k][i] - t[k][0] < 1000000) sum += (t[k][i] - t[k][0]) / 1.755e3, ++n;
      }
      if (n) std::printf(" %.2f", sum / n); else std::printf(" -");
    }
    std::printf("\n");
  }
  std::memset(t, 0, sizeof t);
  cudaMemcpyToSymbol(g_stamps, t, sizeof t);
}

cudaError_t run_layers(const LayersPass& pass, cudaStream_t stream) {
  LayersPlan plan = plan_of(pass.shape, pass.bucket);
  static int told = 0;
  if (++told % 300 == 1) {
    std::printf("blocks %d stages %d", plan.blocks, plan.job.stages);
    for (const Product& p : plan.job.products) std::printf(", splits %d boxes %d tiles %d rounds %d", p.splits, p.boxes, p.tiles, p.rounds);
    std::printf("\n");
  }
  if (plan.kernel == nullptr) return cudaErrorInvalidValue;
  LayersJob& job = plan.job;
  job.layers = pass.layers;
  job.layer_count = pass.shape.layers;
  job.attention = make_attention_job(pass.q, pass.shape.heads, pass.batch, pass.attended,
                                     pass.attention_workspace, pass.bucket, pass.positions);
  job.cache_layer_stride = pass.cache_layer_stride;
  job.rope = pass.rope;
  job.eps = pass.eps;
  job.hidden = pass.shape.hidden, job.intermediate = pass.shape.intermediate;
  job.count = pass.count;
  job.x = pass.x;
  job.gated = pass.gated;
  job.arrived = pass.arrived;
  // A block that merges for itself alone has a quarter of all heads.
  constexpr int kMostMerged = 2 * kMathWarps, kMostSplits = 2 * kMergeBatch;
  job.merged_apart = pass.bucket * pass.shape.heads.heads > kCluster * kMostMerged ||
                     most_splits(pass.positions) > kMostSplits;
  cudaLaunchAttribute attributes[2];
  const cudaLaunchConfig_t config = config_of(plan, attributes, stream);
  return cudaLaunchKernelEx(&config, plan.kernel, job);
}

}  // namespace orthrus::cuda
