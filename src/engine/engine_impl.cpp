#include "engine/engine_impl.h"

#include <algorithm>

#include "base/ceil_div.h"

namespace orthrus {
namespace {

// The longest context, and no less than many short ones; where less fits on a device, that.
ScheduleLimits limits_of(const DeviceModel& model, const EngineOptions& options) {
  constexpr size_t kPagesOfABatch = 1024;  // 65,536 positions
  const auto whole =
      static_cast<size_t>(ceil_div(model.config().max_position_embeddings, kPageSize));
  const size_t fit = std::max<size_t>(model.pages_that_fit(), 1);
  ScheduleLimits limits;
  limits.batch = options.max_batch > 0 ? options.max_batch : model.max_batch();
  if (options.cache_memory > 0) {
    const double pages =
        static_cast<double>(options.cache_memory) / model.position_bytes() / kPageSize;
    if (pages < 1) {
      throw Error(
          ErrorKind::kUsage,
          fmt::format("cache_memory is {}; a page of this model's cache takes {:.0f} bytes, "
                      "and there must be one.",
                      options.cache_memory, model.position_bytes() * kPageSize));
    }
    limits.pages = static_cast<size_t>(std::min(pages, static_cast<double>(fit)));
    limits.cached_pages = limits.pages;
  } else if (options.device.kind == Device::Kind::kCpu) {
    // Memory is taken as it is needed. What nobody needs is no more than half of what fits.
    limits.pages = std::max(whole, std::min(kPagesOfABatch, fit));
    limits.cached_pages = std::clamp<size_t>(fit / 2, 1, limits.pages);
  } else {
    limits.pages = std::min(std::max(whole, kPagesOfABatch), fit);
    limits.cached_pages = limits.pages;
  }
  return limits;
}

ModelConfig capped(ModelConfig config, size_t pages) {
  const size_t positions = pages * kPageSize;
  if (positions < static_cast<size_t>(config.max_position_embeddings)) {
    config.max_position_embeddings = static_cast<int>(positions);
  }
  return config;
}

}  // namespace

Engine::Impl::Impl(std::unique_ptr<const DeviceModel> loaded,
                   std::optional<Tokenizer> loaded_tokenizer, int thread_count,
                   const EngineOptions& options)
    : model(std::move(loaded)),
      limits(limits_of(*model, options)),
      config(capped(model->config(), limits.pages)),
      tokenizer(std::move(loaded_tokenizer)),
      threads(thread_count),
      device(options.device) {}

Engine::Impl::~Impl() {
  if (scheduler_process_ != process_number() + 1) leave_to_its_process();
}

// A scheduler of the process that this one was forked from: threads that wait in it are not here to
// finish, so it stays as it is.
void Engine::Impl::leave_to_its_process() const {
  if (scheduler_ != nullptr) {
    static_cast<void>(new std::shared_ptr<Scheduler>(std::move(scheduler_)));
  }
}

std::shared_ptr<Scheduler> Engine::Impl::scheduler() const {
  if (!device_lost && scheduler_process_ == process_number() + 1) return scheduler_;
  const std::lock_guard lock(making_scheduler_);
  if (!device_lost && scheduler_process_ == process_number() + 1) return scheduler_;
  auto made = on_device([&] { return std::make_shared<Scheduler>(*model, limits, device_lost); });
  leave_to_its_process();
  scheduler_ = std::move(made);
  scheduler_process_ = process_number() + 1;
  return scheduler_;
}

}  // namespace orthrus
