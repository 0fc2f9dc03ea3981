#include "cli/version.h"

#include <fmt/core.h>

#include "orthrus/engine.h"
#include "orthrus/measure.h"

namespace orthrus::cli {
namespace {

std::string compiler() {
#ifdef __clang__
  return fmt::format("Clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("GCC {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::string cuda() {
  const std::string toolkit = ORTHRUS_CUDA_TOOLKIT;
  if (toolkit.empty()) return "not in this build";
  const int devices = cuda_devices();
  return fmt::format("built with {}, {}", toolkit,
                     devices == 0
                         ? "no device here"
                         : fmt::format("{} {} here", devices, devices == 1 ? "device" : "devices"));
}

// What the kernels use, each thing on a line of its own.
std::string processor() {
  std::string text = kernels_in_use();
  for (size_t at; (at = text.find("; ")) != std::string::npos;) {
    text.replace(at, 2, "\n           ");
  }
  return text;
}

}  // namespace

std::string version_number() {
  return ORTHRUS_VERSION;
}

std::string version() {
  return fmt::format(
      "orthrus {}\n"
      "build      {}, {}\n"
      "processor  {}\n"
      "CUDA       {}\n",
      ORTHRUS_VERSION, compiler(), ORTHRUS_BUILD_TYPE, processor(), cuda());
}

}  // namespace orthrus::cli
