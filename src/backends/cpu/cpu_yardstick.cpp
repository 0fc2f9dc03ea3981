#include "backends/cpu/cpu_yardstick.h"

#include <chrono>

#include "kernels/cpu/roofline.h"

namespace orthrus {
namespace {

template <typename Work>
double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Operations a second of what returns how many it did.
double rate_of(double (*run)(const cpu::Crews&), const cpu::Crews& crews) {
  double done = 0;
  const double seconds = seconds_of([&] { done = run(crews); });
  return done / seconds;
}

}  // namespace

MachineRates CpuYardstick::measure() {
  const double reading = seconds_of([&] { cpu::read_all(memory_, *crews_); });
  return {.bytes = static_cast<double>(memory_.size() * sizeof(float)) / reading,
          .flops = rate_of(cpu::run_multiply_adds, *crews_),
          .pair_flops = rate_of(cpu::run_pair_multiply_adds, *crews_),
          .byte_flops = rate_of(cpu::run_byte_multiply_adds, *crews_)};
}

}  // namespace orthrus
