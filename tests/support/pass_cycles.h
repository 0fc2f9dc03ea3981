// A CycleRunner that runs cycles pass by pass, plainly, on any device: the reference of those that
// a device runs (tests/cuda/cycles_check.cpp), and what the code that uses them is tested with
// where there is none. A cycle runs when it is started, and so do its sequences grow.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "backends/cycle_runner.h"
#include "backends/forward_pass.h"

namespace orthrus {

class PassCycles final : public CycleRunner {
 public:
  PassCycles(ForwardPass& pass, int32_t mask_token_id) : pass_(&pass), mask_(mask_token_id) {}

  Status begin(std::span<const CycleStart> sequences) override {
    if (no_room_for_sequences) return Status::kOutOfMemory;
    sequences_.clear();
    most_sequences = std::max(most_sequences, static_cast<int>(sequences.size()));
    for (const CycleStart& start : sequences) {
      Sequence& s = sequences_.emplace_back();
      s.start = start;
      s.anchor = start.anchor;
      s.left = start.most_tokens;
      s.landed = start.sequence->length();
      if (start.context != nullptr) s.context = *start.context;
    }
    return Status::kOk;
  }

  Status start(std::span<const int> drafts) override {
    if (cycles_until_no_room == 0) return Status::kOutOfMemory;
    --cycles_until_no_room;
    std::vector<Outcome> outcomes(sequences_.size());
    CycleTimes times;
    for (size_t i = 0; i < sequences_.size(); ++i) {
      if (drafts[i] >= 0 && sequences_[i].left > 0) {
        outcomes[i] = run(sequences_[i], std::min(drafts[i], sequences_[i].left - 1), times);
      }
    }
    in_flight_.push_back({std::move(outcomes), times});
    most_in_flight = std::max(most_in_flight, static_cast<int>(in_flight_.size()));
    return Status::kOk;
  }

  CycleTimes finish() override {
    landed_ = std::move(in_flight_.front());
    in_flight_.pop_front();
    for (size_t i = 0; i < sequences_.size(); ++i) {
      sequences_[i].landed += static_cast<int>(landed_.outcomes[i].tokens.size());
    }
    return landed_.times;
  }

  CycleResult result(size_t i) const override {
    const Outcome& outcome = landed_.outcomes[i];
    CycleResult result = outcome.result;
    result.tokens = outcome.tokens;
    return result;
  }

  // What was in flight has not happened.
  void end() override {
    in_flight_.clear();
    for (const Sequence& s : sequences_) s.start.sequence->crop(s.landed);
  }

  bool no_room_for_sequences = false;
  int cycles_until_no_room = -1;  // -1: never
  int most_in_flight = 0;
  int most_sequences = 0;

 private:
  struct Sequence {
    CycleStart start{};
    int32_t anchor = 0;
    int left = 0;
    int landed = 0;  // length of the sequence as of the last finish()
    std::vector<int32_t> block{};
    std::optional<RowContext> context{};  // of its own: cycles run ahead of what has landed
  };
  struct Outcome {
    CycleResult result;
    std::vector<int32_t> tokens;
  };
  struct Flight {
    std::vector<Outcome> outcomes;
    CycleTimes times;
  };

  std::vector<int32_t> choices(const Sequence& s, View view) {
    const Span span{.sequence = s.start.sequence,
                    .tokens = s.block,
                    .view = view,
                    .logits_end = static_cast<int>(s.block.size()),
                    .output = HeadOutput::kChoice,
                    .sampling = s.start.sampling,
                    .context = s.context ? &*s.context : nullptr};
    if (pass_->run(std::span(&span, 1)) != Status::kOk) return {};
    std::vector<int32_t> ids;
    for (const Choice& choice : pass_->head_rows(0).choices) ids.push_back(choice.id);
    return ids;
  }

  Outcome run(Sequence& s, int d, CycleTimes& times) {
    Outcome outcome;
    outcome.result.drafted = d;
    std::vector<int32_t> drafts;
    if (d > 0) {
      s.block.assign(static_cast<size_t>(d), mask_);
      s.block[0] = s.anchor;
      drafts = choices(s, View::kDiffusion);
      drafts.erase(std::find(drafts.begin(), drafts.end(), -1), drafts.end());
      times.draft_rows += d;
      times.draft += 1e-3;
    }
    s.block.assign(1, s.anchor);
    s.block.insert(s.block.end(), drafts.begin(), drafts.end());
    const int p = s.start.sequence->length();
    const std::vector<int32_t> selected = choices(s, View::kAutoregressive);
    times.verify_rows += static_cast<int>(s.block.size());
    times.verify += 1e-3;
    outcome.result.verified = static_cast<int>(drafts.size());
    for (size_t i = 0; i < selected.size() && s.left > 0; ++i) {
      if (selected[i] < 0) {
        if (i == 0) outcome.result.status = Status::kNonFiniteLogits, s.left = 0;
        break;
      }
      outcome.tokens.push_back(s.anchor = selected[i]);
      if (s.context) s.context->append(s.anchor);
      --s.left;
      const auto& stops = s.start.stop_token_ids;
      if (std::find(stops.begin(), stops.end(), s.anchor) != stops.end()) s.left = 0;
      if (i == drafts.size() || s.anchor != drafts[i]) break;
      ++outcome.result.accepted;
    }
    s.start.sequence->crop(p + static_cast<int>(outcome.tokens.size()));
    return outcome;
  }

  ForwardPass* pass_;
  int32_t mask_;
  std::vector<Sequence> sequences_;
  std::deque<Flight> in_flight_;
  Flight landed_;
};

}  // namespace orthrus
