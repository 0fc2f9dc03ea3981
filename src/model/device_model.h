// A model in the memory of the device that runs its passes: the processor, or a GPU.
#pragma once

#include <memory>

#include "cache/kv_cache.h"
#include "model/cycles.h"
#include "model/forward_pass.h"
#include "orthrus/config.h"

namespace orthrus {

// Passes, and the pages that their sequences borrow. Serves one thread of control at a time.
class Runner {
 public:
  virtual ~Runner() = default;
  virtual KvPool& pool() = 0;
  virtual ForwardPass& pass() = 0;
  // Null where the device runs passes only.
  virtual CycleRunner* cycles() { return nullptr; }
};

// Immutable after load, used from any thread.
class DeviceModel {
 public:
  virtual ~DeviceModel() = default;
  virtual const ModelConfig& config() const = 0;
  virtual DType weights() const = 0;      // of the AR view's matrices
  virtual DType kv_cache() const = 0;     // of keys and values
  virtual int prefill_chunk() const = 0;  // tokens of a prompt that are best computed in one pass

  // With a cache of at least `pages` pages. Must not outlive the model. Throws Error(kSystem) when
  // the device has no room for what passes need.
  virtual std::unique_ptr<Runner> start(size_t pages) const = 0;
};

}  // namespace orthrus
