// A CycleRunner that runs cycles pass by pass, plainly, on any device: the reference of those that
// a device runs (tests/cuda/cycles_check.cpp), and what the code that uses them is tested with
// where there is none. A cycle runs when it is waited for: only then is the one before committed,
// and the sequence as long as the cycle finds it.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "backends/cycle_runner.h"
#include "backends/forward_pass.h"
#include "kernels/accept.h"

namespace orthrus {

class PassCycles final : public CycleRunner {
 public:
  PassCycles(ForwardPass& pass, int32_t mask_token_id, int slots = 8)
      : pass_(&pass),
        mask_(mask_token_id),
        tenants_(static_cast<size_t>(slots)),
        landed_(tenants_.size()) {}

  int slots() const override { return static_cast<int>(tenants_.size()); }

  bool takes(const CycleStart& start) const override {
    return static_cast<int>(start.stop_token_ids.size()) <= most_stops;
  }

  Status join(int slot, const CycleStart& start) override {
    if (no_room_for_sequences) return Status::kOutOfMemory;
    Tenant tenant;
    tenant.number = ++joined_;
    tenant.start = start;
    tenant.sampling = *start.sampling;
    tenant.stops.assign(start.stop_token_ids.begin(), start.stop_token_ids.end());
    tenant.anchor = start.anchor;
    tenant.left = start.most_tokens;
    if (start.context != nullptr) tenant.context = *start.context;
    of(slot) = std::move(tenant);
    most_sequences = std::max(
        most_sequences, static_cast<int>(std::count_if(tenants_.begin(), tenants_.end(), taken)));
    return Status::kOk;
  }

  void leave(int slot) override { of(slot) = {}; }

  Status start(std::span<const CycleRequest> by_slot) override {
    if (cycles_until_no_room == 0) return Status::kOutOfMemory;
    --cycles_until_no_room;
    std::vector<Part>& parts = flights_.emplace_back(tenants_.size());
    for (size_t s = 0; s < parts.size(); ++s) {
      if (by_slot[s].drafts >= 0) parts[s] = {tenants_[s].number, by_slot[s].drafts};
    }
    most_in_flight = std::max(most_in_flight, in_flight());
    return Status::kOk;
  }

  CycleTimes finish() override {
    const std::vector<Part> parts = std::move(flights_.front());
    flights_.pop_front();
    CycleTimes times;
    for (size_t s = 0; s < parts.size(); ++s) {
      landed_[s] = {};
      Tenant& tenant = tenants_[s];
      if (parts[s].tenant == 0 || parts[s].tenant != tenant.number) continue;
      landed_[s].tenant = tenant.number;
      if (tenant.left > 0)
        run(tenant, std::min(parts[s].drafts, tenant.left - 1), landed_[s], times);
    }
    return times;
  }

  const CycleResult* result(int slot) const override {
    const Landed& landed = landed_[static_cast<size_t>(slot)];
    const uint64_t tenant = tenants_[static_cast<size_t>(slot)].number;
    return landed.tenant != 0 && landed.tenant == tenant ? &landed.result : nullptr;
  }

  int in_flight() const override { return static_cast<int>(flights_.size()); }

  void drain() override {
    flights_.clear();
    landed_.assign(tenants_.size(), {});
  }

  bool no_room_for_sequences = false;
  int cycles_until_no_room = -1;  // -1: never
  int most_stops = 64;
  int most_in_flight = 0;
  int most_sequences = 0;

 private:
  struct Tenant {
    uint64_t number = 0;  // 0: the slot is free
    CycleStart start{};
    SamplingParams sampling{};
    std::vector<int32_t> stops{};
    int32_t anchor = 0;
    int left = 0;
    std::vector<int32_t> block{};
    std::optional<RowContext> context{};  // of its own: cycles run ahead of what is committed
  };
  struct Part {
    uint64_t tenant = 0;
    int drafts = -1;
  };
  struct Landed {
    uint64_t tenant = 0;
    CycleResult result{};
    std::vector<int32_t> tokens{};
  };

  static bool taken(const Tenant& tenant) { return tenant.number != 0; }
  Tenant& of(int slot) { return tenants_[static_cast<size_t>(slot)]; }

  std::vector<int32_t> choices(const Tenant& t, View view) {
    const Span span{.sequence = t.start.sequence,
                    .tokens = t.block,
                    .view = view,
                    .logits_end = static_cast<int>(t.block.size()),
                    .output = HeadOutput::kChoice,
                    .sampling = &t.sampling,
                    .context = t.context ? &*t.context : nullptr};
    if (pass_->run(std::span(&span, 1)) != Status::kOk) return {};
    std::vector<int32_t> ids;
    for (const Choice& choice : pass_->head_rows(0).choices) ids.push_back(choice.id);
    return ids;
  }

  void run(Tenant& t, int d, Landed& landed, CycleTimes& times) {
    std::vector<int32_t> drafts;
    if (d > 0) {
      t.block.assign(static_cast<size_t>(d), mask_);
      t.block[0] = t.anchor;
      drafts = choices(t, View::kDiffusion);
      drafts.erase(std::find(drafts.begin(), drafts.end(), -1), drafts.end());
      times.draft_rows += d;
      times.draft += 1e-3;
    }
    t.block.assign(1, t.anchor);
    t.block.insert(t.block.end(), drafts.begin(), drafts.end());
    const std::vector<int32_t> selected = choices(t, View::kAutoregressive);
    times.verify_rows += static_cast<int>(t.block.size());
    times.verify += 1e-3;
    const Acceptance accepted = accept_drafts(
        drafts.data(), static_cast<int>(drafts.size()),
        [&](int i) { return selected[static_cast<size_t>(i)]; },
        [&](int32_t y) {
          landed.tokens.push_back(t.anchor = y);
          if (t.context) t.context->append(y);
          --t.left;
          if (std::find(t.stops.begin(), t.stops.end(), y) != t.stops.end()) t.left = 0;
          return t.left > 0;
        });
    if (accepted.failed) t.left = 0;
    landed.result = {.status = accepted.failed ? Status::kNonFiniteLogits : Status::kOk,
                     .drafted = d,
                     .verified = static_cast<int>(drafts.size()),
                     .accepted = accepted.accepted,
                     .tokens = landed.tokens};
  }

  ForwardPass* pass_;
  int32_t mask_;
  std::vector<Tenant> tenants_;
  std::vector<Landed> landed_;
  std::deque<std::vector<Part>> flights_;
  uint64_t joined_ = 0;
};

}  // namespace orthrus
