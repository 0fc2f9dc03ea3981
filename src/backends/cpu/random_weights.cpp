#include "backends/cpu/random_weights.h"

#include <bit>
#include <utility>

namespace orthrus {
namespace {

class RandomTables {
 public:
  explicit RandomTables(const Ops& ops) : ops_(&ops) {}

  // Row-major, in BF16, in memory that `to` gets.
  Matrix next(int rows, int cols, Buffer& to) {
    const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(cols);
    to = ops_->allocate((count + 1) / 2);
    auto* const words = reinterpret_cast<uint16_t*>(to.get());
    constexpr float kStep = 0.02f * 1.7320508f / (1 << 23);  // of 2^24, over +-sqrt(3) deviations
    for (size_t i = 0; i < count; ++i) {
      state_ = state_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
      const auto steps = static_cast<int32_t>(state_ >> 32) >> 8;
      words[i] =
          static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(steps) * kStep) >> 16);
    }
    return {to.get(), DType::kBF16, rows, cols};
  }

 private:
  const Ops* ops_;
  uint64_t state_ = 1;
};

// Of a matrix; vectors don't count.
size_t size_of(const TensorSpec& spec) {
  if (spec.shape.size() != 2) return 0;
  return static_cast<size_t>(spec.shape[0]) * static_cast<size_t>(spec.shape[1]);
}

}  // namespace

NetworkWeights random_weights(const ModelConfig& config, const PerView<DType>& types,
                              const Ops& ops, std::vector<Buffer>& storage,
                              const std::function<void(size_t, size_t)>& progress) {
  RandomTables random(ops);
  size_t done = 0, total = 0;
  for (const TensorSpec& spec : expected_tensors(config)) total += size_of(spec);
  const auto packed = [&](const Matrix& table, DType type) {
    const size_t bytes = ops.packed_bytes(type, table.rows, table.cols);
    Buffer& to = storage.emplace_back(ops.allocate((bytes + 3) / 4));
    return ops.pack(table, type, to.get());
  };
  NetworkWeights weights;
  for_each_tensor(
      config, weights,
      [&](const TensorSpec& spec, MatrixPlaces places) {
        const auto rows = static_cast<int>(spec.shape[0]), cols = static_cast<int>(spec.shape[1]);
        if (!spec.is_tied_head) done += size_of(spec);
        if (progress) progress(done, total);
        if (spec.is_table) {
          Matrix* const table = places.ar != nullptr ? places.ar : places.diffusion;
          *table = random.next(rows, cols, storage.emplace_back());
          return;
        }
        Buffer row_major;
        const Matrix table =
            spec.is_tied_head ? weights.embed_tokens : random.next(rows, cols, row_major);
        if (places.ar != nullptr) *places.ar = packed(table, types.ar);
        if (places.diffusion == nullptr) return;
        const bool same = places.ar != nullptr && types.diffusion == types.ar;
        *places.diffusion = same ? *places.ar : packed(table, types.diffusion);
      },
      [](const TensorSpec& spec, std::vector<float>& values) {
        values.assign(static_cast<size_t>(spec.shape[0]), spec.name.ends_with(".bias") ? 0 : 1);
      });
  return weights;
}

}  // namespace orthrus
