#include "host.h"

#include <unordered_set>
#include <utility>

#include "base/process.h"
#include "orthrus/error.h"

namespace orthrus::python {

namespace {

std::mutex all_mutex;
std::unordered_set<Host*> all;

}  // namespace

Host::Host(Engine engine)
    : process_(process_number()), engine_(std::make_shared<AsyncEngine>(std::move(engine))) {
  const std::lock_guard lock(all_mutex);
  all.insert(this);
}

Host::~Host() {
  {
    const std::lock_guard lock(all_mutex);
    all.erase(this);
  }
  close();
}

void Host::close_all() {
  const std::lock_guard lock(all_mutex);
  for (Host* const host : all) host->close();
}

void Host::check_process() const {
  if (process_ != process_number()) {
    throw Error(ErrorKind::kSystem,
                "This process was forked after the engine was made, whose thread is its parent's. "
                "Make the engine after the fork, or start processes by "
                "multiprocessing.get_context(\"spawn\").");
  }
}

std::shared_ptr<AsyncEngine> Host::engine() const {
  check_process();
  const std::lock_guard lock(mutex_);
  if (engine_ == nullptr) throw Error(ErrorKind::kUsage, "This engine is closed.");
  return engine_;
}

bool Host::closed() const {
  if (process_ != process_number()) return true;
  const std::lock_guard lock(mutex_);
  return engine_ == nullptr;
}

void Host::close() {
  if (process_ != process_number()) {
    // Nobody is left to end it, and its locks may be held for ever: it is left as it is.
    new std::shared_ptr<AsyncEngine>(std::move(engine_));
    return;
  }
  std::shared_ptr<AsyncEngine> engine;
  {
    const std::lock_guard lock(mutex_);
    engine = std::exchange(engine_, nullptr);
  }
}

}  // namespace orthrus::python
