#include "backends/cuda/input_memory.h"

#include <algorithm>

#include "backends/cuda/pass_sizes.h"

namespace orthrus::cuda {
namespace {

constexpr std::string_view kWhat = "the inputs of a pass";

PassInputs with_table(std::byte* memory, int rows) {
  PassInputs inputs = inputs_in(memory, rows);
  inputs.page_table = reinterpret_cast<int*>(memory + input_bytes(rows));
  return inputs;
}

}  // namespace

size_t input_bytes(int rows) {
  return sizeof(PassCounts) +
         static_cast<size_t>(rows) * (sizeof(SelectRow) + sizeof(int32_t) + 2 * sizeof(int) +
                                      2 * sizeof(KvSpan) + sizeof(RowCopies));
}

PassInputs inputs_in(std::byte* memory, int rows) {
  const auto next = [&]<typename T>(T*& part, int count) {
    part = reinterpret_cast<T*>(memory);
    memory += static_cast<size_t>(count) * sizeof(T);
  };
  PassInputs inputs;
  next(inputs.counts, 1);
  next(inputs.select, rows);
  next(inputs.ids, rows);
  next(inputs.head_rows, rows);
  for (const View view : kBothViews) next(inputs.spans[view], rows);
  next(inputs.copies, rows);
  next(inputs.parents, rows);
  return inputs;
}

bool InputMemory::reserve(int rows, size_t pages, cudaStream_t stream) {
  if (rows <= rows_ && pages <= pages_) return false;
  const int most_rows = std::max({rows, rows_, kMostGraphRows});
  const size_t most_pages = std::max({pages * 2, pages_, size_t{1024}});
  rows_ = 0, pages_ = 0;
  check(cudaStreamSynchronize(stream), kWhat);
  const size_t bytes = input_bytes(most_rows) + most_pages * sizeof(int);
  host_memory_ = {}, device_memory_ = {};
  host_memory_ = PinnedArray<std::byte>(bytes);
  device_memory_ = DeviceArray<std::byte>(bytes);
  host_ = with_table(host_memory_.data(), most_rows);
  device_ = with_table(device_memory_.data(), most_rows);
  rows_ = most_rows, pages_ = most_pages;
  return true;
}

void InputMemory::upload(int pages, cudaStream_t stream) const {
  const size_t bytes = input_bytes(rows_) + static_cast<size_t>(pages) * sizeof(int);
  check(cudaMemcpyAsync(device_memory_.data(), host_memory_.data(), bytes, cudaMemcpyHostToDevice,
                        stream),
        kWhat);
}

}  // namespace orthrus::cuda
