// A model in the memory of the device that runs its passes: the processor, or a GPU.
#pragma once

#include <memory>
#include <vector>

#include "backends/cycle_runner.h"
#include "backends/forward_pass.h"
#include "backends/yardstick.h"
#include "cache/kv_sequence.h"
#include "orthrus/config.h"

namespace orthrus {

// Passes, whole cycles where the device runs them, and the pages that their sequences borrow.
// Serves one thread of control at a time. All that it does throws DeviceLost where the device
// fails.
class Lane {
 public:
  virtual ~Lane() = default;
  virtual KvPool& pool() = 0;
  virtual ForwardPass& pass() = 0;
  // Null where the device runs passes only.
  virtual CycleRunner* cycles() { return nullptr; }

  // Copies a page, all layers of it, in the order of the passes.
  virtual void copy_page(const std::byte* from, std::byte* to) = 0;

  // Writes made-up keys and values, finite ones, into the pages of `sequence`, so that passes can
  // be measured behind a context that nobody computed. May overwrite other sequences' pages.
  virtual void fill_cache(const KvSequence& sequence) = 0;
};

// Immutable after load, used from any thread.
class DeviceModel {
 public:
  virtual ~DeviceModel() = default;
  virtual const ModelConfig& config() const = 0;
  // The types of the matrices that a pass in this view reads, those with the most bytes first.
  virtual std::vector<DType> weight_types(View view) const = 0;
  // As Engine::widened_types.
  virtual std::vector<DType> widened_types() const { return {}; }
  virtual DType kv_cache() const = 0;     // of keys and values
  virtual int prefill_chunk() const = 0;  // tokens of a prompt that are best computed in one pass
  // The same beside sequences that decode, which wait for as long as it takes.
  virtual int prefill_chunk_beside() const = 0;
  virtual int max_batch() const = 0;  // sequences that are best decoded at a time

  // Pages for which there is room, beside what passes need.
  virtual size_t pages_that_fit() const = 0;

  // With a cache of `pages` pages. Must not outlive the model. Throws Error(kSystem) when
  // the device has no room for what passes need.
  virtual std::unique_ptr<Lane> start(size_t pages) const = 0;

  // For measuring. What a pass has to read: the matrices of a view, LM head included, and the keys
  // and values of one position, both in bytes.
  virtual double matrix_bytes(View view) const = 0;
  virtual double position_bytes() const = 0;
  // Throws Error(kSystem) or std::bad_alloc when there is too little memory for it.
  virtual std::unique_ptr<Yardstick> yardstick() const = 0;
};

}  // namespace orthrus
