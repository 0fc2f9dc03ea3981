// What an Engine is made of.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "backends/device_lost.h"
#include "backends/device_model.h"
#include "base/process.h"
#include "engine/job.h"
#include "engine/policy_memory.h"
#include "orthrus/engine.h"
#include "orthrus/error.h"

namespace orthrus {

struct Engine::Impl {
  Impl(std::unique_ptr<const DeviceModel> loaded, std::optional<Tokenizer> loaded_tokenizer,
       int thread_count, Device on_device)
      : model(std::move(loaded)),
        tokenizer(std::move(loaded_tokenizer)),
        threads(thread_count),
        device(on_device) {}

  std::unique_ptr<const DeviceModel> model;
  std::optional<Tokenizer> tokenizer;
  int threads;
  Device device;
  mutable PolicyMemory policy_memory{};           // guards itself; changes speed only
  mutable std::atomic<bool> device_lost = false;  // and stays so

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
  // As run_jobs; where the device has failed before, jobs fail at once.
  void run(Lane& lane, std::span<Job* const> jobs) const;

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
};

}  // namespace orthrus
