// News for an event loop, which watches a file descriptor.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

namespace orthrus::python {

// Keys of streams that have news. Posting takes no GIL and never blocks.
class Waker {
 public:
  Waker();  // throws Error(kSystem) where the system has no descriptors left
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;

  int descriptor() const { return read_end_; }  // readable while keys wait
  void post(uint64_t key);                      // from any thread
  std::vector<uint64_t> take();                 // all that wait, each once or more

 private:
  int read_end_ = -1, write_end_ = -1;
  std::mutex mutex_;
  std::vector<uint64_t> keys_;
};

}  // namespace orthrus::python
