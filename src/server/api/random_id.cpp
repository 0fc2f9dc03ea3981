#include "server/api/random_id.h"

#include <fmt/format.h>

#include <cstdint>
#include <random>

namespace orthrus::server {

std::string random_id() {
  thread_local std::mt19937_64 numbers{[] {
    std::random_device device;
    return (uint64_t{device()} << 32) ^ device();
  }()};
  const uint64_t high = numbers();
  return fmt::format("{:016x}{:016x}", high, numbers());
}

}  // namespace orthrus::server
