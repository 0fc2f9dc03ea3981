#include "backends/backend.h"

#include <fmt/core.h>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "orthrus/error.h"

namespace orthrus {

const Backend& backend_of(Device::Kind kind) {
  static constexpr const Backend* kBackends[] = {&kCpuBackend, &cuda::kBackend};
  for (const Backend* backend : kBackends) {
    if (backend->kind == kind) return *backend;
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("device has the unknown kind {}.", static_cast<int>(kind)));
}

void check_type(std::string_view field, std::optional<DType> type, bool (*takes)(DType),
                std::string_view valid) {
  if (!type || takes(*type)) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("{} is {}; valid is {}.", field, name_of(*type), valid));
}

void check_weights(std::string_view field, std::optional<WeightType> type, bool (*takes)(DType),
                   std::string_view valid) {
  if (type) check_type(field, type->one(), takes, valid);
}

}  // namespace orthrus
