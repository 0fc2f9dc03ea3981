#include "orthrus/measure.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "backends/cpu/host_memory.h"
#include "base/counted.h"
#include "base/float_environment.h"
#include "base/median.h"
#include "engine/engine_impl.h"
#include "network/costs.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

View view_of(const PassShape& shape) {
  return shape.kind == PassKind::kDraft ? View::kDiffusion : View::kAutoregressive;
}

void check(const PassShape& shape, const ModelConfig& config) {
  const bool draft = shape.kind == PassKind::kDraft;
  if (draft && !config.has_diffusion_view()) {
    throw Error(ErrorKind::kUsage, "This checkpoint has no diffusion view, so no draft pass.");
  }
  const int most = draft ? config.block_size - 1 : config.max_position_embeddings;
  if (shape.rows < 1 || shape.rows > most) {
    throw Error(ErrorKind::kUsage,
                fmt::format("A {} has {}; valid is 1 to {}.", draft ? "draft pass" : "pass",
                            counted(shape.rows, "row"), most));
  }
  if (shape.context < 0 || shape.context > config.max_position_embeddings - shape.rows) {
    throw Error(ErrorKind::kUsage,
                fmt::format("The context of a pass of {} is {}; valid is 0 to {}.",
                            counted(shape.rows, "row"), shape.context,
                            config.max_position_embeddings - shape.rows));
  }
}

// Rows that the LM head runs for.
int head_rows(const PassShape& shape) {
  return shape.kind == PassKind::kPrefill ? 1 : shape.rows;
}

PassMeasurement cost_of(const PassShape& shape, const DeviceModel& model) {
  const ModelConfig& c = model.config();
  const View view = view_of(shape);
  PassMeasurement cost;
  cost.shape = shape;
  cost.weights = model.weight_types(view).front();
  cost.bytes = model.matrix_bytes(view) + model.position_bytes() * (shape.context + shape.rows);
  cost.flops = pass_flops(c, view, shape.rows, head_rows(shape), shape.context);
  return cost;
}

// Runs passes as decoding does, behind a context that is made up.
class PassRunner {
 public:
  // `longest`: positions of the longest context, the pass's own rows included.
  PassRunner(const DeviceModel& model, Device device, int longest, int most_rows) {
    // A device sees to its memory itself.
    if (device.is_cpu()) {
      check_memory(model.position_bytes() * longest,
                   fmt::format("The keys and values of {} take", counted(longest, "position")));
    }
    lane_ = model.start(static_cast<size_t>(longest) / kPageSize + 1);
    sequence_.emplace(lane_->pool());
    begin_at(longest, 0);
    lane_->fill_cache(*sequence_);
    // Different tokens, as far as the vocabulary goes.
    tokens_.resize(static_cast<size_t>(most_rows));
    for (size_t i = 0; i < tokens_.size(); ++i) {
      tokens_[i] = static_cast<int32_t>(i * 7919 % static_cast<size_t>(model.config().vocab_size));
    }
  }

  double seconds_of(const PassShape& shape) {
    const int begin = shape.rows - head_rows(shape);
    begin_at(shape.context, shape.rows);
    const Span span{.sequence = &*sequence_,
                    .tokens = std::span(tokens_).first(static_cast<size_t>(shape.rows)),
                    .view = view_of(shape),
                    .logits_begin = begin,
                    .logits_end = shape.rows,
                    .output = shape.kind == PassKind::kDraft ? HeadOutput::kChoiceAndProbability
                                                             : HeadOutput::kChoice};
    ForwardPass& pass = lane_->pass();
    if (const Status status = pass.run(std::span(&span, 1)); status != Status::kOk) {
      throw Error(ErrorKind::kSystem,
                  fmt::format("A pass of {} behind a context of {} failed: {}.",
                              counted(shape.rows, "row"), shape.context, describe(status)));
    }
    return pass.seconds();
  }

 private:
  void begin_at(int context, int rows) {
    sequence_->clear();
    if (sequence_->reserve(context + rows) != Status::kOk) {
      throw Error(ErrorKind::kSystem, fmt::format("no memory for a context of {}.", context));
    }
    sequence_->commit(context);
  }

  std::unique_ptr<Lane> lane_;
  std::optional<KvSequence> sequence_;
  std::vector<int32_t> tokens_;
};

struct Samples {
  std::vector<MachineRates> machine;
  std::vector<double> seconds;
};

MachineRates median_of(const std::vector<MachineRates>& samples) {
  std::vector<double> bytes;
  for (const MachineRates& sample : samples) bytes.push_back(sample.bytes);
  MachineRates rates;
  rates.bytes = median(std::move(bytes));
  for (const auto rate :
       {&MachineRates::flops, &MachineRates::pair_flops, &MachineRates::byte_flops}) {
    std::vector<double> values;
    for (const MachineRates& sample : samples) {
      if (sample.*rate) values.push_back(*(sample.*rate));
    }
    if (!values.empty()) rates.*rate = median(std::move(values));
  }
  return rates;
}

}  // namespace

Roofline Engine::measure(std::span<const PassShape> shapes, int rounds,
                         const std::function<bool()>& cancelled) const {
  const FloatEnvironment ours;
  impl().check_process();
  if (rounds < 1) {
    throw Error(ErrorKind::kUsage, fmt::format("rounds is {}; valid is 1 or more.", rounds));
  }
  const DeviceModel& model = *impl().model;
  Roofline result;
  if (shapes.empty()) return result;
  int longest = 0, most_rows = 0;
  for (const PassShape& shape : shapes) {
    check(shape, model.config());
    result.passes.push_back(cost_of(shape, model));
    longest = std::max(longest, shape.context + shape.rows);
    most_rows = std::max(most_rows, shape.rows);
  }
  std::vector<Samples> of_shape(shapes.size());
  std::vector<MachineRates> all;
  bool complete = true;
  const auto goes_on = [&] { return complete = !cancelled || !cancelled(); };
  impl().on_device([&] {
    PassRunner passes(model, impl().device, longest, most_rows);
    const std::unique_ptr<Yardstick> yardstick = model.yardstick();
    yardstick->measure();  // what is done once only
    for (int round = 0; round < rounds && complete; ++round) {
      for (size_t i = 0; i < shapes.size() && goes_on(); ++i) {
        all.push_back(yardstick->measure());
        of_shape[i].machine.push_back(all.back());
        // What caches hold should be what a pass left there, as it is while decoding.
        passes.seconds_of(shapes[i]);
        if (!goes_on()) break;
        of_shape[i].seconds.push_back(passes.seconds_of(shapes[i]));
      }
    }
  });
  if (!complete) return {};
  result.machine = median_of(all);
  for (size_t i = 0; i < shapes.size(); ++i) {
    result.passes[i].machine = median_of(of_shape[i].machine);
    result.passes[i].seconds = median(std::move(of_shape[i].seconds));
  }
  return result;
}

}  // namespace orthrus
