// The threads that handlers run on.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <thread>
#include <vector>

namespace orthrus::server {

// Asio's thread_pool waits for ever where the system gives some of its threads and not all.
class Workers {
 public:
  explicit Workers(int count);  // throws Error(kSystem)
  ~Workers() { join(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void run(std::function<void()> work);  // which throws nothing
  void join();                           // once all that was given has run

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> more_to_come_{
      io_.get_executor()};
  std::vector<std::thread> threads_;
};

}  // namespace orthrus::server
