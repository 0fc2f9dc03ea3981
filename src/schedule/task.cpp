#include "schedule/task.h"

namespace orthrus {
namespace {

std::unique_ptr<Policy> make_policy(const TaskSpec& spec, PolicyState& learnt,
                                    const PassTimes& times) {
  if (spec.chooses) return std::make_unique<AutoPolicy>(learnt, times);
  return std::make_unique<FixedPolicy>(spec.params.block_size);
}

}  // namespace

Task::Task(const ModelConfig& config, KvPool& pool, const TaskSpec& spec, PolicyState& learnt,
           const PassTimes& times, uint64_t id, Mailbox& mailbox)
    : id_(id),
      priority_(spec.priority),
      salt_(spec.salt),
      mailbox_(&mailbox),
      sequence_(pool),
      policy_(make_policy(spec, learnt, times)),
      decoder_(config, sequence_, spec.prompt, *policy_, spec.params) {}

std::span<const int32_t> Task::reusable() const {
  if (!prefilled_ && decoder_.params().prompt_logprobs) return {};
  return decoder_.tokens().first(static_cast<size_t>(decoder_.prefill_end() - 1));
}

}  // namespace orthrus
