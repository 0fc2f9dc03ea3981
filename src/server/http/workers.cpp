#include "server/http/workers.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/thread_for.h"

namespace orthrus::server {

Workers::Workers(int count) {
  threads_.reserve(static_cast<size_t>(count));
  try {
    for (int i = 0; i < count; ++i) {
      threads_.push_back(thread_for("requests", [this] { io_.run(); }));
    }
  } catch (...) {
    join();
    throw;
  }
}

void Workers::run(std::function<void()> work) {
  boost::asio::post(io_, std::move(work));
}

void Workers::join() {
  more_to_come_.reset();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace orthrus::server
