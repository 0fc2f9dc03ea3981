// What an Engine is made of.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "backends/device_lost.h"
#include "backends/device_model.h"
#include "base/process.h"
#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "schedule/scheduler.h"

namespace orthrus {

struct Engine::Impl {
  Impl(std::unique_ptr<const DeviceModel> loaded, std::optional<Tokenizer> loaded_tokenizer,
       int thread_count, const EngineOptions& options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::unique_ptr<const DeviceModel> model;
  ScheduleLimits limits;
  ModelConfig config;  // the model's, its context no longer than the cache
  std::optional<Tokenizer> tokenizer;
  int threads;
  Device device;
  mutable std::atomic<bool> device_lost = false;  // and stays so

  // That all calls share; made when it is first asked for, and again in a process that was forked
  // since, where the old one's locks may be held for ever. Throws as DeviceModel::start, and
  // DeviceLost once the device has failed.
  std::shared_ptr<Scheduler> scheduler() const;

  // use(), which throws DeviceLost where the device fails, or at once where it has failed before.
  template <typename Use>
  auto on_device(Use use) const {
    if (device_lost) {
      throw DeviceLost(fmt::format("{}: {}.", name_of(device), describe(Status::kDeviceLost)));
    }
    try {
      return use();
    } catch (const DeviceLost&) {
      device_lost = true;
      throw;
    }
  }
  // Of the model.
  std::unique_ptr<Lane> start(size_t pages) const {
    return on_device([&] { return model->start(pages); });
  }

  const unsigned process = process_number();  // that loaded it
  // Throws Error(kSystem) in a process that was forked since, if what runs the passes is a device.
  void check_process() const {
    if (device.is_cpu() || process == process_number()) return;
    throw Error(ErrorKind::kSystem,
                fmt::format("This process was forked after the model was loaded on {}, and a "
                            "device's memory is its parent's. Load the model after the fork.",
                            name_of(device)));
  }
  const Tokenizer* tokenizer_or_null() const { return tokenizer ? &*tokenizer : nullptr; }

 private:
  void leave_to_its_process() const;

  mutable std::mutex making_scheduler_;
  mutable std::shared_ptr<Scheduler> scheduler_;
  mutable std::atomic<unsigned> scheduler_process_ = 0;  // whose it is, plus 1; 0: there is none
};

}  // namespace orthrus
