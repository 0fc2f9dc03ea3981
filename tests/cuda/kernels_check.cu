// Compares every CUDA kernel with a plain reference in double, on fresh random inputs, and asserts
// that an output has the same bits whatever the number of rows and whatever stands beside it.
//
//   kernels_check [SEED [rows|attention|matmul|blocks|pass|select|pairwise|trees|roofline]...]
//                 [--few]
//
// With no SEED it takes one at random; with no subject it checks them all. With --few it leaves out
// products of large matrices, and of blocks most formats, those of a form but one: for sanitizers.
// Exits with 77 where there is no device.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>

#include "checks.h"
#include "device.cuh"

namespace orthrus::cuda {

void Checks::expect(bool good, const char* format, ...) {
  ++total_;
  if (good) return;
  if (++failed_ > 40) return;
  std::va_list arguments;
  va_start(arguments, format);
  std::printf("FAILED: ");
  std::vprintf(format, arguments);
  std::printf("\n");
  va_end(arguments);
}

}  // namespace orthrus::cuda

int main(int argc, char** argv) {
  using namespace orthrus::cuda;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is killed has printed its finds
  const bool few = argc > 1 && std::strcmp(argv[argc - 1], "--few") == 0;
  if (few) --argc;
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::printf("no CUDA device\n");
    return 77;
  }
  cudaDeviceProp device;
  CHECK_CUDA(cudaGetDeviceProperties(&device, 0));
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 0) : std::random_device{}();
  std::printf("%s, seed %llu\n", device.name, static_cast<unsigned long long>(seed));
  Checks checks(seed, few);
  const struct {
    const char* name;
    void (*check)(Checks&);
  } subjects[] = {
      {"rows", check_rows},
      {"attention", [](Checks& all) { check_attention(all), check_tree_attention(all); }},
      {"matmul", check_matmul},
      {"blocks", check_blocks},
      {"pass", check_pass},
      {"select", check_select},
      {"pairwise", check_pairwise},
      {"trees", check_trees},
      {"roofline", check_roofline}};
  for (int i = 2; i < argc; ++i) {
    const auto named = [&](const auto& subject) { return std::strcmp(argv[i], subject.name) == 0; };
    if (std::none_of(std::begin(subjects), std::end(subjects), named)) {
      std::fprintf(stderr, "%s is no subject\n", argv[i]);
      return 2;
    }
  }
  for (const auto& subject : subjects) {
    bool wanted = argc <= 2;
    for (int i = 2; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], subject.name) == 0;
    if (!wanted) continue;
    subject.check(checks);
    CHECK_CUDA(cudaDeviceSynchronize());
    std::printf("%s: %d checks so far, %d failed\n", subject.name, checks.total(), checks.failed());
  }
  std::printf("%d checks, %d failed\n", checks.total(), checks.failed());
  return checks.failed() == 0 ? 0 : 1;
}
