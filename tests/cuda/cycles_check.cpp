// Whole cycles on a CUDA device against the same cycles run pass by pass there: what every cycle
// drafts, accepts and emits, of sequences of several kinds. For a machine with a device.
//
//   cycles_check DATA MODELS      (tests/data and models of the sources)
#include <fmt/core.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backends/cuda/cuda_model.h"
#include "orthrus/published_shapes.h"
#include "support/pass_cycles.h"
#include "support/passes.h"

namespace orthrus {
namespace {

constexpr int kNoDevice = 77;  // CTest skips
int failures = 0, cycles = 0, tokens = 0, accepted = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  if (++failures <= 20) fmt::print("FAILED: {}\n", what);
}

// Sequences on a lane of their own, each with a prompt in its cache.
class Side {
 public:
  Side(const DeviceModel& model, const std::vector<std::vector<int32_t>>& prompts)
      : lane_(model.start(128)) {
    sequences_.reserve(prompts.size());
    for (const std::vector<int32_t>& prompt : prompts) {
      KvSequence& sequence = sequences_.emplace_back(lane_->pool());
      logits_of(*lane_, sequence, prompt, View::kAutoregressive);
    }
  }
  Lane& lane() { return *lane_; }
  KvSequence& sequence(size_t i) { return sequences_[i]; }
  std::vector<CycleStart> of(std::vector<CycleStart> starts) {
    for (size_t i = 0; i < starts.size(); ++i) starts[i].sequence = &sequences_[i];
    return starts;
  }

 private:
  std::unique_ptr<Lane> lane_;
  std::vector<KvSequence> sequences_;
};

struct Case {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<CycleStart> starts;
};

// One cycle is always in flight, as in decoding; how much each drafts is a die's to say.
void check_case(const DeviceModel& model, const std::string& name, const Case& c,
                std::mt19937& random) {
  Side device(model, c.prompts), reference(model, c.prompts);
  CycleRunner& got = *device.lane().cycles();
  PassCycles want(reference.lane().pass(), model.config().mask_token_id);
  expect(got.begin(device.of(c.starts)) == Status::kOk, name + ": cycles did not begin");
  expect(want.begin(reference.of(c.starts)) == Status::kOk, name + ": reference");
  const auto start = [&] {
    std::vector<int> drafts;
    for (const CycleStart& s : c.starts) {
      const int most = s.block_size - 1;
      const bool skipped = !drafts.empty() && random() % 8 == 0;
      drafts.push_back(skipped             ? -1
                       : random() % 2 == 0 ? most
                                           : static_cast<int>(random() % (most + 1)));
    }
    expect(got.start(drafts) == Status::kOk && want.start(drafts) == Status::kOk,
           name + ": a cycle did not start");
  };
  std::vector<int> left;
  for (const CycleStart& s : c.starts) left.push_back(s.most_tokens);
  start();
  for (bool more = true; more && failures == 0;) {
    start();
    const CycleTimes times = got.finish();
    want.finish();
    ++cycles;
    expect(times.verify_rows == 0 || times.verify > 0, name + ": a cycle took no time");
    more = false;
    for (size_t i = 0; i < c.starts.size(); ++i) {
      const CycleResult a = got.result(i), b = want.result(i);
      expect(a.status == b.status && a.drafted == b.drafted && a.verified == b.verified &&
                 a.accepted == b.accepted &&
                 std::equal(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end()),
             fmt::format("{}: sequence {} in cycle {}: {} tokens of {} drafts, not {} of {}", name,
                         i, cycles, a.tokens.size(), a.drafted, b.tokens.size(), b.drafted));
      tokens += static_cast<int>(a.tokens.size());
      accepted += a.accepted;
      left[i] -= static_cast<int>(a.tokens.size());
      const auto& stops = c.starts[i].stop_token_ids;
      for (const int32_t token : a.tokens) {
        if (std::find(stops.begin(), stops.end(), token) != stops.end()) left[i] = 0;
      }
      more = more || left[i] > 0;
    }
  }
  got.end();
  want.end();
  for (size_t i = 0; i < c.starts.size(); ++i) {
    expect(device.sequence(i).length() == reference.sequence(i).length(),
           fmt::format("{}: sequence {} has {} positions, not {}", name, i,
                       device.sequence(i).length(), reference.sequence(i).length()));
  }
}

// Sequences with contexts, greedy and sampled, beside one without.
void check_penalties(const DeviceModel& model, const std::string& name, std::mt19937& random) {
  const ModelConfig& config = model.config();
  const auto token = [&] { return static_cast<int32_t>(4 + random() % (config.vocab_size - 8)); };
  const SamplingParams params[] = {{.repetition_penalty = 1.1f, .frequency_penalty = 0.2f},
                                   {},
                                   {.temperature = 0.8f,
                                    .top_p = 0.9f,
                                    .seed = random(),
                                    .repetition_penalty = 1.3f,
                                    .presence_penalty = -0.5f,
                                    .logit_bias = {{token(), -INFINITY}, {token(), 4}}}};
  for (int round = 0; round < 3; ++round) {
    Case c;
    std::vector<RowContext> contexts;
    contexts.reserve(std::size(params));
    for (const SamplingParams& p : params) {
      std::vector<int32_t>& prompt = c.prompts.emplace_back(1 + random() % 90);
      for (int32_t& id : prompt) id = token();
      CycleStart start{.anchor = token(),
                       .most_tokens = static_cast<int>(40 + random() % 60),
                       .block_size = config.block_size,
                       .sampling = &p};
      if (RowContext::wanted(p)) {
        RowContext& context = contexts.emplace_back(p, prompt, config.vocab_size, 0);
        context.append(start.anchor);
        start.context = &context;
      }
      c.starts.push_back(start);
    }
    check_case(model, name + ", penalties", c, random);
  }
}

void check(const DeviceModel& model, const std::string& name, std::mt19937& random) {
  const ModelConfig& config = model.config();
  const auto token = [&] { return static_cast<int32_t>(4 + random() % (config.vocab_size - 8)); };
  const auto prompt = [&](int length) {
    std::vector<int32_t> ids(static_cast<size_t>(length));
    for (int32_t& id : ids) id = token();
    return ids;
  };
  std::vector<int32_t> stops;
  for (int i = 0; i < 8; ++i) stops.push_back(token());
  const SamplingParams sampled{.temperature = 0.7f, .top_k = 50, .top_p = 0.9f, .seed = random()};
  const int block = config.block_size;
  for (int round = 0; round < 3; ++round) {
    Case c{{prompt(3), prompt(70), prompt(1 + static_cast<int>(random() % 200))},
           {{.anchor = token(), .most_tokens = 90, .block_size = block},
            {.anchor = token(), .most_tokens = 1, .block_size = 1, .sampling = &sampled},
            {.anchor = token(),
             .most_tokens = 150,
             .block_size = block / 2 + 1,
             .sampling = &sampled,
             .stop_token_ids = stops}}};
    check_case(model, name + ", three sequences", c, random);
    c.prompts.resize(1), c.starts.resize(1);
    check_case(model, name + ", one sequence", c, random);
  }
  check_penalties(model, name, random);
  // To the last position that the memory of a fresh lane is made for.
  const int whole = std::min(1024, config.max_position_embeddings);
  check_case(model, name + ", a whole context",
             {{prompt(24)}, {{.anchor = token(), .most_tokens = whole - 24, .block_size = block}}},
             random);
}

}  // namespace
}  // namespace orthrus

int main(int argc, char** argv) {
  using namespace orthrus;
  if (cuda::device_count() == 0) {
    fmt::print("no CUDA device\n");
    return kNoDevice;
  }
  if (argc != 3) return 2;
  const std::filesystem::path data = argv[1], models = argv[2];
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  try {
    for (const auto& directory :
         {data / "golden" / "tied", data / "golden" / "untied", models / "tiny-code"}) {
      const auto model = cuda::load_model(load_config(directory), Checkpoint::open(directory),
                                          directory.string(), 0, {});
      check(*model, directory.filename().string(), random);
    }
    constexpr const char* kQwen2 = "qwen2.5-coder-0.5b";  // made-up weights: no draft is right
    check(*cuda::random_model(*published_shape(kQwen2), 0), kQwen2, random);
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
  fmt::print("seed {}: {} cycles compared, {} tokens, {} accepted drafts, {} failures\n", seed,
             cycles, tokens, accepted, failures);
  return failures == 0 && accepted > 0 ? 0 : 1;
}
