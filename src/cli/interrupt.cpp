#include "cli/interrupt.h"

#include <atomic>
#include <iterator>

namespace orthrus::cli {
namespace {

// A signal handler can reach nothing but a global.
std::atomic<int> came = 0;
std::atomic<bool> patient = false;
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  if (came.exchange(number) == 0 || (patient && number == SIGINT)) return;
  std::signal(number, SIG_DFL);
  std::raise(number);  // ends the process once this returns
}

}  // namespace

Interrupt::Interrupt(Again again) {
  came = 0;
  patient = again == Again::kIsTheSame;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], nullptr, &previous_[i]);
    if (previous_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
}

int Interrupt::signal() const {
  return came;
}

int Interrupt::exit_code() const {
  return 128 + signal();
}

}  // namespace orthrus::cli
