#include "model/cpu_model.h"

#include <cstdint>
#include <random>
#include <vector>

#include "model/cpu_machine.h"

namespace orthrus {
namespace {

class CpuRunner final : public Runner {
 public:
  CpuRunner(const Model& model, const Ops& ops, size_t pages)
      : page_bytes_(model.kv_layout().page_bytes()),
        pool_(ops, model.kv_layout(), pages),
        pass_(model, ops) {}
  KvPool& pool() override { return pool_; }
  ForwardPass& pass() override { return pass_; }

  void fill_cache(const KvSequence& sequence) override {
    std::minstd_rand random;
    const int pages = (sequence.length() + kPageSize - 1) / kPageSize;
    for (int page = 0; page < pages; ++page) {
      auto* const to = reinterpret_cast<uint16_t*>(sequence.pages()[page]);
      // BF16 numbers of 0.5 to 1; two of them are a float of that size.
      for (size_t i = 0; i < page_bytes_ / sizeof *to; ++i) {
        to[i] = static_cast<uint16_t>(0x3f00 | (random() >> 8 & 0x7f));
      }
    }
  }

 private:
  size_t page_bytes_;
  KvPool pool_;
  CpuForwardPass pass_;
};

}  // namespace

std::unique_ptr<Runner> CpuModel::start(size_t pages) const {
  return std::make_unique<CpuRunner>(model_, ops_, pages);
}

double CpuModel::matrix_bytes(View view) const {
  double bytes = 0;
  const auto add = [&](const Matrix& w) {
    bytes += static_cast<double>(ops_.packed_bytes(w.type, w.rows, w.cols));
  };
  const int v = static_cast<int>(view);
  for (const LayerWeights& layer : model_.weights.layers) {
    const AttentionWeights& attention = layer.attention[v];
    const MlpWeights& mlp = layer.mlp[v];
    for (const Matrix* const matrix :
         {&attention.q_proj, &attention.k_proj, &attention.v_proj, &attention.o_proj,
          &mlp.gate_proj, &mlp.up_proj, &mlp.down_proj}) {
      add(*matrix);
    }
  }
  add(model_.weights.lm_head[v]);
  return bytes;
}

double CpuModel::position_bytes() const {
  return static_cast<double>(model_.kv_layout().page_bytes()) / kPageSize;
}

std::unique_ptr<Machine> CpuModel::machine() const {
  return std::make_unique<CpuMachine>(threads_);
}

}  // namespace orthrus
