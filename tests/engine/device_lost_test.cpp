// A device that fails: a status of every request of the call, and of every later one.
#include "backends/device_lost.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <new>

#include "backends/cpu/cpu_model.h"
#include "engine/engine_impl.h"
#include "orthrus/error.h"
#include "support/expect_error_parts.h"
#include "support/model.h"
#include "support/pass_cycles.h"
#include "support/wrapped_model.h"

namespace orthrus {
namespace {

// Counts what a device is asked to do, and fails at one of these, and ever after.
struct Fault {
  int left = -1;  // uses until it fails; -1: never
  int uses = 0;
  int uses_after = 0;  // of a device that has failed
  bool lost = false;
  bool of_memory = false;  // it has too little, once, and goes on
  size_t most_rows = 0;    // of a pass

  void use() {
    ++uses;
    if (of_memory && left == 0) {
      left = -1;
      throw std::bad_alloc();
    }
    if (lost) ++uses_after;
    if (left == 0) lost = true;
    if (left > 0) --left;
    if (lost) throw DeviceLost("the cat has the cable");
  }
};

class FaultyPass final : public ForwardPass {
 public:
  FaultyPass(ForwardPass& pass, Fault& fault) : pass_(&pass), fault_(&fault) {}
  Status run(std::span<const Span> spans) override {
    fault_->use();
    size_t rows = 0;
    for (const Span& span : spans) rows += span.tokens.size();
    fault_->most_rows = std::max(fault_->most_rows, rows);
    return pass_->run(spans);
  }
  HeadRows head_rows(size_t span) const override { return pass_->head_rows(span); }
  double seconds() const override { return pass_->seconds(); }

 private:
  ForwardPass* pass_;
  Fault* fault_;
};

class FaultyCycles final : public CycleRunner {
 public:
  FaultyCycles(ForwardPass& pass, int32_t mask, Fault& fault)
      : cycles_(pass, mask), fault_(&fault) {}
  int slots() const override { return cycles_.slots(); }
  bool takes(const CycleStart& start) const override { return cycles_.takes(start); }
  Status join(int slot, const CycleStart& start) override {
    fault_->use();
    return cycles_.join(slot, start);
  }
  void leave(int slot) override { cycles_.leave(slot); }
  Status start(std::span<const CycleRequest> by_slot) override {
    fault_->use();
    return cycles_.start(by_slot);
  }
  CycleTimes finish() override {
    fault_->use();
    return cycles_.finish();
  }
  const CycleResult* result(int slot) const override { return cycles_.result(slot); }
  int in_flight() const override { return cycles_.in_flight(); }
  void drain() override { cycles_.drain(); }

 private:
  PassCycles cycles_;
  Fault* fault_;
};

class FaultyLane final : public Lane {
 public:
  FaultyLane(std::unique_ptr<Lane> lane, int32_t mask, bool whole_cycles, Fault& fault)
      : lane_(std::move(lane)),
        pass_(lane_->pass(), fault),
        cycles_(lane_->pass(), mask, fault),
        whole_cycles_(whole_cycles) {}
  KvPool& pool() override { return lane_->pool(); }
  ForwardPass& pass() override { return pass_; }
  CycleRunner* cycles() override { return whole_cycles_ ? &cycles_ : nullptr; }
  void copy_page(const std::byte* from, std::byte* to) override { lane_->copy_page(from, to); }
  void fill_cache(const KvSequence& sequence) override { lane_->fill_cache(sequence); }

 private:
  std::unique_ptr<Lane> lane_;
  FaultyPass pass_;
  FaultyCycles cycles_;
  bool whole_cycles_;
};

class FaultyModel final : public WrappedModel {
 public:
  FaultyModel(const DeviceModel& model, bool whole_cycles, Fault& fault)
      : WrappedModel(model), whole_cycles_(whole_cycles), fault_(&fault) {}
  std::unique_ptr<Lane> start(size_t pages) const override {
    fault_->use();
    return std::make_unique<FaultyLane>(model_->start(pages), config().mask_token_id, whole_cycles_,
                                        *fault_);
  }

 private:
  bool whole_cycles_;
  Fault* fault_;
};

// By whether the device runs whole cycles.
class DeviceFault : public testing::TestWithParam<bool> {
 protected:
  Engine engine() {
    return Engine(std::make_shared<const Engine::Impl>(
        std::make_unique<FaultyModel>(model_, GetParam(), fault_), std::nullopt, 2,
        EngineOptions{}));
  }
  static std::vector<Request> requests() {
    std::vector<Request> requests(2);
    requests[0].prompt = {100, 200, 300, 400};
    requests[1].prompt = {101, 201, 301};
    for (Request& r : requests) {
      r.options.max_tokens = 12;
      r.options.mode = Mode::kDual;
      r.options.ignore_eos = true;
      r.options.prefill_chunk = 2;
    }
    requests[1].options.max_tokens = 3;
    return requests;
  }
  static void expect_prefix(const std::vector<int32_t>& got, const std::vector<int32_t>& want) {
    ASSERT_LE(got.size(), want.size());
    EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin()));
  }

  const CpuModel model_{load_model(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code"), 2};
  Fault fault_;
};

INSTANTIATE_TEST_SUITE_P(ByDevice, DeviceFault, testing::Values(false, true),
                         [](const auto& info) { return info.param ? "WholeCycles" : "Passes"; });

TEST_P(DeviceFault, IsTheStatusOfEveryRequestWhereverItHappens) {
  const std::vector<Generation> whole = engine().generate(requests());
  const int uses = fault_.uses;
  ASSERT_GT(uses, 8);
  for (int at = 0; at < uses; ++at) {
    SCOPED_TRACE(at);
    fault_ = {.left = at};
    const Engine faulty = engine();
    std::vector<Generation> got = faulty.generate(requests());
    ASSERT_EQ(got.size(), 2u);
    for (size_t i = 0; i < got.size(); ++i) {
      expect_prefix(got[i].output_ids, whole[i].output_ids);
      if (got[i].output_ids == whole[i].output_ids) continue;  // it was done before
      EXPECT_EQ(got[i].status, Status::kDeviceLost);
      EXPECT_EQ(got[i].finish_reason, FinishReason::kFailed);
    }
    EXPECT_LE(fault_.uses_after, 1) << "but to end cycles, nothing is asked of it";
    const int before = fault_.uses;
    got = faulty.generate(requests());
    for (const Generation& g : got) {
      EXPECT_EQ(g.status, Status::kDeviceLost);
      EXPECT_EQ(g.finish_reason, FinishReason::kFailed);
      EXPECT_TRUE(g.output_ids.empty());
    }
    EXPECT_THROW(faulty.score(requests()[0].prompt), Error);
    test::expect_error_parts([&] { faulty.start_session(); }, ErrorKind::kSystem,
                             {"the device failed"});
    std::vector<Request> invalid = requests();
    invalid[1].prompt.clear();
    test::expect_error_parts([&] { faulty.generate(invalid); }, ErrorKind::kUsage, {"empty"});
    EXPECT_EQ(fault_.uses, before) << "a device that has failed is asked for nothing";
  }
}

TEST_P(DeviceFault, EndsSessions) {
  const Engine faulty = engine();
  Session session = faulty.start_session(), other = faulty.start_session();
  const Request request = requests()[0];
  const std::vector<int32_t> whole = session.generate(request).output_ids;
  fault_.left = 3;
  const Generation cut = session.generate(request);
  EXPECT_EQ(cut.status, Status::kDeviceLost);
  expect_prefix(cut.output_ids, whole);
  const int before = fault_.uses;
  EXPECT_EQ(session.generate(request).status, Status::kDeviceLost);
  EXPECT_EQ(other.generate(request).status, Status::kDeviceLost);
  EXPECT_EQ(faulty.generate(request).status, Status::kDeviceLost);
  EXPECT_EQ(fault_.uses, before);
}

TEST_P(DeviceFault, InScoreIsAnError) {
  const Engine faulty = engine();
  fault_.left = 1;
  test::expect_error_parts([&] { faulty.score(requests()[0].prompt); }, ErrorKind::kSystem,
                           {"the cat has the cable"});
  EXPECT_EQ(faulty.generate(requests()[0]).status, Status::kDeviceLost);
}

TEST_P(DeviceFault, OfMemoryEndsOnePassAlone) {
  const std::vector<Generation> whole = engine().generate(requests());
  // At the second pass of the prefill; the first use starts the lane.
  fault_ = {.left = 2, .of_memory = true};
  const Generation cut = engine().generate(requests()[0]);
  EXPECT_EQ(cut.status, Status::kOutOfMemory);
  EXPECT_EQ(fault_.left, -1);
  fault_ = {.left = 2, .of_memory = true};
  const std::vector<Generation> together = engine().generate(requests());  // then each has its own
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(together[i].status, Status::kOk);
    EXPECT_EQ(together[i].output_ids, whole[i].output_ids);
  }
}

// Wherever it happens: where a tree was to be verified its trunk is, and the text goes on.
TEST_P(DeviceFault, OfMemoryMakesATreeAChain) {
  Request request = requests()[0];
  request.options.max_tokens = 16;
  request.options.tree_nodes = 8;
  const Generation whole = engine().generate(request);
  const int uses = fault_.uses;
  int went_on = 0;
  for (int at = 1; at < uses; ++at) {
    fault_ = {.left = at, .of_memory = true};
    const Generation got = engine().generate(request);
    expect_prefix(got.output_ids, whole.output_ids);
    if (got.status != Status::kOk) continue;
    EXPECT_EQ(got.output_ids, whole.output_ids);
    ++went_on;
  }
  EXPECT_GT(went_on, 2);
}

// Of whole cycles the sizes are the device's to say.
class PassFault : public DeviceFault {};
INSTANTIATE_TEST_SUITE_P(ByDevice, PassFault, testing::Values(false));

TEST_P(PassFault, ManyTreesMakeNoPassLargerThanAPromptDoes) {
  constexpr int kRequests = 10;
  std::vector<Request> many;
  for (int i = 0; i < kRequests; ++i) {
    Request& r = many.emplace_back(requests()[0]);
    r.prompt.push_back(100 + i);
    r.options.max_tokens = 6;
    r.options.tree_nodes = 128;
    r.options.sampling.temperature = 1;
  }
  for (const Generation& g : engine().generate(many)) EXPECT_EQ(g.status, Status::kOk);
  const int chains = kRequests * model_.config().block_size;
  EXPECT_GT(fault_.most_rows, 128u);
  EXPECT_LE(fault_.most_rows, static_cast<size_t>(model_.prefill_chunk() + chains));
}

TEST_P(DeviceFault, LeavesWhatACallbackThrows) {
  const Engine faulty = engine();
  Request request = requests()[0];
  request.on_step = [&](const Step&) -> bool {
    fault_.left = 0;
    throw std::bad_alloc();
  };
  EXPECT_THROW(faulty.generate(request), std::bad_alloc);
}

}  // namespace
}  // namespace orthrus
