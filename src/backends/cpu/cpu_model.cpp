#include "backends/cpu/cpu_model.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "backends/cpu/cpu_yardstick.h"
#include "backends/cpu/host_memory.h"
#include "base/ceil_div.h"

namespace orthrus {
namespace {

class CpuLane final : public Lane {
 public:
  CpuLane(const CpuWeights& model, const Ops& ops, size_t pages)
      : page_bytes_(model.kv_layout().page_bytes()),
        pool_(ops, model.kv_layout(), pages),
        pass_(model, ops) {}
  KvPool& pool() override { return pool_; }
  ForwardPass& pass() override { return pass_; }

  void copy_page(const std::byte* from, std::byte* to) override {
    std::memcpy(to, from, page_bytes_);
  }

  void fill_cache(const KvSequence& sequence) override {
    std::minstd_rand random;
    const int pages = ceil_div(sequence.length(), kPageSize);
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

std::unique_ptr<Lane> CpuModel::start(size_t pages) const {
  return std::make_unique<CpuLane>(weights_, *ops_, pages);
}

// Half of the memory that this process may have, whatever it has of it now: weights and others'
// pages may take the rest.
size_t CpuModel::pages_that_fit() const {
  const auto page = static_cast<double>(weights_.kv_layout().page_bytes());
  return static_cast<size_t>(memory_limit().bytes / 2 / page);
}

std::map<DType, double> CpuModel::bytes_by_type(View view) const {
  std::map<DType, double> bytes;
  NetworkWeights network = weights_.network;  // places; the matrices are not copied
  for_each_tensor(
      weights_.config, network,
      [&](const TensorSpec& spec, MatrixPlaces places) {
        if (spec.is_table || places[view] == nullptr) return;
        const Matrix& w = *places[view];
        bytes[w.type] += static_cast<double>(ops_->packed_bytes(w.type, w.rows, w.cols));
      },
      [](const TensorSpec&, std::vector<float>&) {});
  return bytes;
}

std::vector<DType> CpuModel::weight_types(View view) const {
  const std::map<DType, double> bytes = bytes_by_type(view);
  std::vector<DType> types;
  for (const auto& [type, of_type] : bytes) types.push_back(type);
  std::ranges::sort(types, std::ranges::greater{}, [&](DType type) { return bytes.at(type); });
  return types;
}

double CpuModel::matrix_bytes(View view) const {
  double bytes = 0;
  for (const auto& [type, of_type] : bytes_by_type(view)) bytes += of_type;
  return bytes;
}

double CpuModel::position_bytes() const {
  return static_cast<double>(weights_.kv_layout().page_bytes()) / kPageSize;
}

std::unique_ptr<Yardstick> CpuModel::yardstick() const {
  return std::make_unique<CpuYardstick>(ops_->crews());
}

}  // namespace orthrus
