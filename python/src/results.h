// What the engine gives back, as Python reads it: arrays are views of memory that they keep.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "orthrus/generation.h"

namespace orthrus::python {

// A read-only numpy array over `data`, which `owner` keeps.
template <typename T>
nanobind::object view(const T* data, std::initializer_list<size_t> shape,
                      std::shared_ptr<const void> owner) {
  auto* const kept = new std::shared_ptr<const void>(std::move(owner));
  const nanobind::capsule keeper(
      kept, [](void* p) noexcept { delete static_cast<std::shared_ptr<const void>*>(p); });
  return nanobind::cast(
      nanobind::ndarray<nanobind::numpy, const T>(data, shape.size(), shape.begin(), keeper));
}

// [ids.size()] int32.
nanobind::object array_of(std::vector<int32_t> ids);

// (chosen [n] float32, top ids [n, k] int32, top [n, k] float32), k of each the same.
nanobind::object tuple_of(std::span<const TokenLogprobs> logprobs);

// A finished generation, and the owner of its arrays.
struct Result {
  std::shared_ptr<const Generation> generation;
};
void bind_results(nanobind::module_& module);

}  // namespace orthrus::python
