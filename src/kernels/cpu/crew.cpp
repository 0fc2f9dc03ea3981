#include "kernels/cpu/crew.h"

#include <fmt/core.h>
#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "base/counted.h"
#include "base/float_environment.h"
#include "base/process.h"
#include "orthrus/error.h"

namespace orthrus::cpu {
namespace {

using Body = std::function<void(const Member&)>;

// Far more than a kernel takes: thread-local variables of the whole program come out of it too.
constexpr size_t kStackBytes = size_t{512} << 10;

// Some tenths of a millisecond: choosing a token from a small vocabulary, and what else is done
// between two passes of a small model, takes less. Waking takes as long as a step of a pass.
constexpr int kSpinsBetweenPasses = 10 * Team::kSpins;

// Signals are for threads of the user's, but for those that tell of what this thread itself did.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all_but_own;
    sigfillset(&all_but_own);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
      sigdelset(&all_but_own, own);
    }
    pthread_sigmask(SIG_SETMASK, &all_but_own, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Returns an error number.
int make_thread(pthread_t& thread, void* (*begin)(void*), void* argument) {
  pthread_attr_t attributes;
  if (const int error = pthread_attr_init(&attributes); error != 0) return error;
  int error = pthread_attr_setstacksize(&attributes, kStackBytes);
  if (error == 0) error = pthread_create(&thread, &attributes, begin, argument);
  pthread_attr_destroy(&attributes);
  return error;
}

class Crew {
 public:
  // Throws Error(kSystem), std::bad_alloc.
  explicit Crew(int size) : team_(size), workers_(static_cast<size_t>(size - 1)) {
    const SignalsBlocked inherited;
    for (Worker& worker : workers_) {
      worker.crew = this;
      worker.index = made_ + 1;
      const int error = make_thread(worker.thread, begin, &worker);
      if (error != 0) {
        tell(State::kGivenUp);
        join();
        throw Error(ErrorKind::kSystem,
                    fmt::format("Of {} only {} could be made: {}. Ask for fewer "
                                "threads (--threads), or for a higher limit of processes.",
                                counted(size, "thread"), made_ + 1,
                                std::generic_category().message(error)));
      }
      ++made_;
    }
    tell(State::kComplete);
  }
  ~Crew() {
    body_ = nullptr;
    team_.wait();
    join();
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void run(const Body& body) {
    body_ = &body;
    team_.wait();
    work(0);
    team_.wait();
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  }

 private:
  enum class State : int { kBeingMade, kComplete, kGivenUp };
  struct Worker {
    Crew* crew = nullptr;
    int index = 0;
    pthread_t thread{};
  };

  static void* begin(void* argument) {
    const auto& worker = *static_cast<const Worker*>(argument);
    const FloatEnvironment ours;
    worker.crew->serve(worker.index);
    return nullptr;
  }

  void serve(int index) {
    state_.wait(State::kBeingMade);
    if (state_ == State::kGivenUp) return;
    while (true) {
      team_.wait(kSpinsBetweenPasses);
      if (body_ == nullptr) return;
      work(index);
      team_.wait();
    }
  }

  void work(int index) {
    try {
      (*body_)({&team_, index});
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!thrown_) thrown_ = std::current_exception();
    }
  }

  void tell(State state) {
    state_ = state;
    state_.notify_all();
  }
  void join() {
    for (int i = 0; i < made_; ++i) pthread_join(workers_[static_cast<size_t>(i)].thread, nullptr);
  }

  Team team_;
  std::vector<Worker> workers_;  // all members but the first
  int made_ = 0;
  std::atomic<State> state_ = State::kBeingMade;
  const Body* body_ = nullptr;  // none: it is over
  std::mutex mutex_;
  std::exception_ptr thrown_;
};

}  // namespace

// The crews of one process.
struct Crews::Home {
  explicit Home(Home* of_parent = nullptr) : parents(of_parent) {}

  const unsigned process = process_number();
  Home* const parents;  // never touched: its lock may be held for ever
  std::mutex mutex;
  std::condition_variable returned;
  std::vector<std::unique_ptr<Crew>> idle;
  size_t crews = 0;  // idle or not
};

// A crew for as long as an object of this lives.
class Crews::Loan {
 public:
  Loan(Home& home, int size) : home_(&home) {
    std::unique_lock lock(home.mutex);
    while (home.idle.empty() && !make(size)) home.returned.wait(lock);
    crew_ = std::move(home.idle.back());
    home.idle.pop_back();
  }
  ~Loan() {
    {
      const std::lock_guard lock(home_->mutex);
      home_->idle.push_back(std::move(crew_));  // has room, since it was there before
    }
    home_->returned.notify_one();
  }
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;

  Crew& crew() { return *crew_; }

 private:
  // One more idle crew; false where that fails but others will come back.
  bool make(int size) {
    try {
      home_->idle.reserve(home_->crews + 1);
      home_->idle.push_back(std::make_unique<Crew>(size));
      ++home_->crews;
      return true;
    } catch (const std::exception&) {
      if (home_->crews == 0) throw;
      return false;
    }
  }

  Home* home_;
  std::unique_ptr<Crew> crew_;
};

Crews::Crews(int size) : size_(size), home_(new Home) {}

Crews::~Crews() {
  Home* const home = home_;
  if (home->process == process_number()) delete home;
}

Crews::Home& Crews::home() const {
  Home* home = home_.load(std::memory_order_acquire);
  if (home->process == process_number()) return *home;
  auto own = std::make_unique<Home>(home);
  if (!home_.compare_exchange_strong(home, own.get())) return *home;  // another thread was first
  return *own.release();
}

void Crews::run(const Body& body) const {
  const FloatEnvironment ours;
  if (size_ == 1) return body({});
  Loan(home(), size_).crew().run(body);
}

}  // namespace orthrus::cpu
