// Whole cycles on a CUDA device against the same cycles run pass by pass there: what every cycle
// drafts, accepts and emits, of sequences of several kinds that come and go while others go on,
// with prompts computed in between and pages that change hands. Where drafts are trees, whose nodes
// may be others where two are as likely, what is emitted against plain steps. For a machine with a
// device.
//
//   cycles_check DATA MODELS      (tests/data and models of the sources)
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backends/cuda/cuda_model.h"
#include "orthrus/published_shapes.h"
#include "support/fresh_seed.h"
#include "support/near_ties.h"
#include "support/pass_cycles.h"
#include "support/passes.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

constexpr int kNoDevice = 77;  // CTest skips
int failures = 0, cycles = 0, tokens = 0, accepted = 0, joined = 0, prompts = 0;
int trees = 0, nodes = 0, off_trunk = 0;  // off_trunk: accepted, that were not the likeliest

void expect(bool holds, const std::string& what) {
  if (holds) return;
  if (++failures <= 20) fmt::print("FAILED: {}\n", what);
}

// A lane of the device, with its cycles or with those that are run pass by pass.
struct Side {
  Side(const DeviceModel& model, size_t pages, bool whole)
      : lane(model.start(pages)),
        by_pass(lane->pass(), model.config().mask_token_id, 256),
        by_step(lane->pass(), model.config().mask_token_id, 256) {
    cycles = whole ? lane->cycles() : &by_pass;
  }
  std::unique_ptr<Lane> lane;
  PassCycles by_pass;
  PassCycles by_step;  // of those that draft trees: their plain steps
  CycleRunner* cycles;
};

// What a sequence is decoded with.
struct Kind {
  SamplingParams sampling{};
  int block_size = 1;
  std::vector<int32_t> stops{};
  bool trees = false;
};

// Of one sequence, on both sides.
struct Running {
  Running(Side& device, Side& reference)
      : on_device(device.lane->pool()), on_reference(reference.lane->pool()) {}
  KvSequence on_device, on_reference;
  const Kind* kind = nullptr;
  int slot = 0;
  int left = 0;
  std::vector<int>
      flights{};  // positions that each cycle in flight may fill, 0 where it has no part
};

class Simulation {
 public:
  Simulation(const DeviceModel& model, std::string name, size_t pages, std::mt19937& random)
      : model_(model),
        name_(std::move(name)),
        device_(model, pages, true),
        reference_(model, pages, false),
        random_(random),
        by_slot_(256) {}

  // `rounds` cycles, during which up to `most` of these kinds are decoded at a time.
  void run(const std::vector<Kind>& kinds, int rounds, size_t most, int most_tokens) {
    for (int round = 0; round < rounds && failures == 0; ++round) {
      while (running_.size() < most && (running_.empty() || die(3) != 0)) {
        join(kinds[die(kinds.size())], static_cast<int>(1 + die(die(4) == 0 ? 600 : 150)),
             static_cast<int>(1 + die(static_cast<size_t>(most_tokens))));
      }
      if (die(4) == 0) run_prompt();
      if (running_.size() > 1 && die(12) == 0) leave(std::next(running_.begin(), pick()));
      start();
      if (in_flight_ == CycleRunner::kMostInFlight || die(3) == 0) finish();
    }
    while (in_flight_ > 0 && failures == 0) finish();
    drop_all();
  }

  // To the last token, of a sequence that begins with a prompt of so many.
  void run_alone(const Kind& kind, int prompt, int most_tokens) {
    join(kind, prompt, most_tokens);
    while (!running_.empty() && failures == 0) {
      start();
      if (in_flight_ == CycleRunner::kMostInFlight) finish();
      while (running_.empty() && in_flight_ > 0) finish();
    }
  }

 private:
  using Place = std::list<Running>::iterator;

  size_t die(size_t sides) { return random_() % sides; }
  std::ptrdiff_t pick() { return static_cast<std::ptrdiff_t>(die(running_.size())); }
  int32_t token() {
    return static_cast<int32_t>(4 + die(static_cast<size_t>(model_.config().vocab_size) - 8));
  }
  std::vector<int32_t> prompt(int length) {
    std::vector<int32_t> ids(static_cast<size_t>(length));
    for (int32_t& id : ids) id = token();
    return ids;
  }

  // The last row's logits on both sides, of tokens that join the two sequences.
  void prefill(KvSequence& on_device, KvSequence& on_reference, const std::vector<int32_t>& ids) {
    const int rows = static_cast<int>(ids.size());
    std::vector<float> logits[2];
    for (const bool device : {true, false}) {
      KvSequence& sequence = device ? on_device : on_reference;
      Lane& lane = device ? *device_.lane : *reference_.lane;
      const Span span{&sequence, ids, View::kAutoregressive, rows - 1, rows};
      run_pass(lane, std::span(&span, 1));
      const ConstRows got = lane.pass().head_rows(0).logits;
      logits[device ? 0 : 1].assign(got.row(0), got.row(0) + got.cols);
    }
    ++prompts;
    expect(
        logits[0].size() == logits[1].size() &&
            std::memcmp(logits[0].data(), logits[1].data(), logits[0].size() * sizeof(float)) == 0,
        name_ + ": a prompt's logits are other ones beside cycles");
  }

  void join(const Kind& kind, int length, int most_tokens) {
    Running& r = running_.emplace_back(device_, reference_);
    const std::vector<int32_t> ids = prompt(length);
    prefill(r.on_device, r.on_reference, ids);
    r.kind = &kind;
    do r.slot = static_cast<int>(die(die(2) == 0 ? 4 : by_slot_.size()));
    while (std::count_if(running_.begin(), running_.end(),
                         [&](const Running& other) { return other.slot == r.slot; }) > 1);
    r.left = most_tokens;
    r.flights.assign(static_cast<size_t>(in_flight_), 0);
    CycleStart start{.anchor = token(),
                     .most_tokens = most_tokens,
                     .block_size = kind.block_size,
                     .sampling = &kind.sampling,
                     .stop_token_ids = kind.stops};
    std::optional<RowContext> context;
    if (RowContext::wanted(kind.sampling)) {
      context.emplace(kind.sampling, ids, model_.config().vocab_size, 1);
      context->append(start.anchor);
      start.context = &*context;
    }
    for (const bool device : {true, false}) {
      CycleRunner& cycles = device ? *device_.cycles : reference_of(r);
      start.sequence = device ? &r.on_device : &r.on_reference;
      expect(cycles.takes(start) && cycles.join(r.slot, start) == Status::kOk,
             name_ + ": a sequence cannot join");
      expect(cycles.result(r.slot) == nullptr,
             name_ + ": a new tenant has its predecessor's result");
    }
    ++joined;
  }

  CycleRunner& reference_of(const Running& r) {
    return r.kind->trees ? reference_.by_step : *reference_.cycles;
  }

  void leave(Place place) {
    device_.cycles->leave(place->slot);
    reference_of(*place).leave(place->slot);
    running_.erase(place);  // others get its pages while its cycles may be in flight
  }

  void drop_all() {
    while (!running_.empty()) leave(running_.begin());
    device_.cycles->drain();
    reference_.cycles->drain();
    in_flight_ = 0;
  }

  // A prompt that comes and goes, on whatever pages are free.
  void run_prompt() {
    KvSequence on_device(device_.lane->pool()), on_reference(reference_.lane->pool());
    prefill(on_device, on_reference, prompt(static_cast<int>(1 + die(200))));
  }

  // How much each drafts is a die's to say; pages are reserved as they are needed.
  void start() {
    std::fill(by_slot_.begin(), by_slot_.end(), CycleRequest{});
    std::vector<CycleRequest> by_pass = by_slot_;
    AcceptanceTables acceptances;
    for (float* const table : {acceptances.likeliest, acceptances.others}) {
      std::generate_n(table, ConfidenceBins::kCount,
                      [&] { return static_cast<float>(1 + die(100)) / 100; });
    }
    bool any = false;
    for (Running& r : running_) {
      int ahead = 0;
      for (const int positions : r.flights) ahead += positions;
      const auto most = static_cast<size_t>(std::min(r.kind->block_size, r.left) - 1);
      const bool skipped = running_.size() > 1 && die(8) == 0;
      const int drafts = skipped ? -1 : static_cast<int>(die(2) == 0 ? most : die(most + 1));
      CycleRequest& request = by_slot_[static_cast<size_t>(r.slot)];
      request.drafts = drafts;
      if (r.kind->trees && drafts >= 0) {
        const size_t most_nodes = running_.size() > 10 ? 24 : kMostTreeNodes - 1;
        constexpr int kSizes[] = {1, 7, 31, 63, 127};
        request.nodes = static_cast<int>(1 + die(die(2) == 0 ? 16 : most_nodes));
        if (running_.size() <= 10 && die(3) == 0) request.nodes = kSizes[die(std::size(kSizes))];
        if (die(2) == 0) request.acceptances = &acceptances;
      } else {
        by_pass[static_cast<size_t>(r.slot)].drafts = drafts;
      }
      r.flights.push_back(drafts + 1);
      any = any || drafts >= 0;
      const int room = std::min(ahead + drafts + 1, r.left);
      expect(
          r.on_device.reserve(room) == Status::kOk && r.on_reference.reserve(room) == Status::kOk,
          name_ + ": no pages for a cycle");
    }
    if (!any) {
      for (Running& r : running_) r.flights.pop_back();
      return;
    }
    expect(device_.cycles->start(by_slot_) == Status::kOk &&
               reference_.cycles->start(by_pass) == Status::kOk,
           name_ + ": a cycle did not start");
    expect(device_.cycles->in_flight() == ++in_flight_, name_ + ": cycles in flight");
  }

  void finish() {
    if (in_flight_ == 0) return;
    const CycleTimes times = device_.cycles->finish();
    const CycleTimes want = reference_.cycles->finish();
    --in_flight_;
    ++cycles;
    expect(times.verify_rows == 0 || times.verify > 0, name_ + ": a cycle took no time");
    expect(times.verify_rows >= want.verify_rows, name_ + ": rows are not counted");
    for (auto r = running_.begin(); r != running_.end();) {
      const int asked = r->flights.front() - 1;
      const bool took_part = asked >= 0;
      r->flights.erase(r->flights.begin());
      const CycleResult* const a = device_.cycles->result(r->slot);
      if (r->kind->trees) {
        expect((a != nullptr) == took_part, name_ + ": who took part in a cycle");
        const auto here = r++;
        if (took_part && a != nullptr && !take_tree(*here, asked, *a)) leave(here);
        continue;
      }
      const CycleResult* const b = reference_.cycles->result(r->slot);
      expect((a != nullptr) == took_part && (b != nullptr) == took_part,
             name_ + ": who took part in a cycle");
      const auto here = r++;
      if (took_part && a != nullptr && b != nullptr && !take(*here, *a, *b)) leave(here);
    }
  }

  // False when it was the last.
  bool take(Running& r, const CycleResult& a, const CycleResult& b) {
    expect(a.status == b.status && a.drafted == b.drafted && a.verified == b.verified &&
               a.accepted == b.accepted && std::ranges::equal(a.tokens, b.tokens),
           fmt::format("{}: slot {} in cycle {}: {} tokens of {} drafts, not {} of {}", name_,
                       r.slot, cycles, a.tokens.size(), a.drafted, b.tokens.size(), b.drafted));
    r.on_reference.commit(static_cast<int>(b.tokens.size()));
    return go_on(r, a);
  }

  // Of a result that was compared: false when it was the last.
  bool go_on(Running& r, const CycleResult& a) {
    tokens += static_cast<int>(a.tokens.size());
    accepted += a.accepted;
    r.on_device.commit(static_cast<int>(a.tokens.size()));
    r.left -= static_cast<int>(a.tokens.size());
    const auto ends = [&](int32_t id) {
      return std::ranges::find(r.kind->stops, id) != r.kind->stops.end();
    };
    return r.left > 0 && a.status == Status::kOk && std::ranges::none_of(a.tokens, ends);
  }

  bool take_tree(Running& r, int asked, const CycleResult& a) {
    const std::string where = fmt::format("{}: slot {} in cycle {}", name_, r.slot, cycles);
    expect(a.status == Status::kOk && !a.tokens.empty(), where + " gave nothing");
    expect(a.drafted == std::min(asked, r.left - 1), where + " drafted another number");
    expect(a.tree.size() == static_cast<size_t>(asked > 0 ? a.verified : 0),
           where + " has another number of nodes");
    expect(a.accepted <= a.drafted && a.accepted <= static_cast<int>(a.tokens.size()),
           where + " accepted too many");
    int node = -1;  // the accepted ones are a path
    for (const int32_t token : a.tokens.first(static_cast<size_t>(a.accepted))) {
      const auto next = std::ranges::find_if(
          a.tree, [&](const TreeNode& n) { return n.parent == node && n.token == token; });
      expect(next != a.tree.end(), where + " accepted what it did not draft");
      if (next == a.tree.end()) break;
      off_trunk += next->rank > 0 ? 1 : 0;
      node = static_cast<int>(next - a.tree.begin());
    }
    trees += a.tree.empty() ? 0 : 1;
    nodes += static_cast<int>(a.tree.size());
    std::vector<CycleRequest> by_step(by_slot_.size());
    by_step[static_cast<size_t>(r.slot)].drafts = 0;
    for (const int32_t token : a.tokens) {
      if (failures > 0) break;
      expect(reference_.by_step.start(by_step) == Status::kOk, where + ": a step did not start");
      reference_.by_step.finish();
      const CycleResult* const b = reference_.by_step.result(r.slot);
      expect(b != nullptr && b->tokens.size() == 1 && b->tokens[0] == token,
             fmt::format("{}: token {} of a tree of {}, not {}", where, token, a.tree.size(),
                         b != nullptr && !b->tokens.empty() ? b->tokens[0] : -1));
      r.on_reference.commit(1);
    }
    return go_on(r, a);
  }

  const DeviceModel& model_;
  std::string name_;
  Side device_, reference_;
  std::mt19937& random_;
  std::list<Running> running_;
  std::vector<CycleRequest> by_slot_;
  int in_flight_ = 0;
};

// A copy of a sequence's pages goes on as the sequence does.
void check_copies(const DeviceModel& model, const std::string& name, std::mt19937& random) {
  const auto lane = model.start(16);
  std::vector<int32_t> ids(150);
  for (int32_t& id : ids) id = static_cast<int32_t>(4 + random() % 200);
  const std::span<const int32_t> first = std::span(ids).first(100), rest = std::span(ids).last(50);
  KvSequence sequence(lane->pool()), copy(lane->pool());
  logits_of(*lane, sequence, first, View::kAutoregressive);
  const int length = sequence.length();
  expect(copy.reserve(length) == Status::kOk, name + ": no pages for a copy");
  for (int page = 0; page * kPageSize < length; ++page) {
    lane->copy_page(sequence.pages()[page], copy.pages()[page]);
  }
  copy.commit(length);
  const ConstRows rows = logits_of(*lane, sequence, rest, View::kAutoregressive);
  const std::vector<float> want(rows.row(0), rows.row(rows.rows - 1) + rows.cols);
  const ConstRows got = logits_of(*lane, copy, rest, View::kAutoregressive);
  expect(std::equal(want.begin(), want.end(), got.row(0)), name + ": a copy goes on otherwise");
}

void check(const DeviceModel& model, const std::string& name, std::mt19937& random) {
  const ModelConfig& config = model.config();
  const auto token = [&] { return static_cast<int32_t>(4 + random() % (config.vocab_size - 8)); };
  const int block = config.block_size;
  const SamplingParams sampled{.temperature = 0.7f, .top_k = 50, .top_p = 0.9f, .seed = random()};
  std::vector<Kind> kinds = {{.block_size = block},
                             {.sampling = sampled, .block_size = 1},
                             {.sampling = sampled, .block_size = block / 2 + 1},
                             {.block_size = block}};
  for (int i = 0; i < 8; ++i) kinds[2].stops.push_back(token());
  const auto add_trees = [&] {
    for (size_t i = 0, chains = kinds.size(); i < chains; ++i) {
      if (kinds[i].block_size == 1 || kinds[i].trees) continue;
      kinds.push_back(kinds[i]);
      kinds.back().trees = true;
    }
  };
  check_copies(model, name, random);
  Simulation(model, name, 96, random).run(kinds, 150, 6, 150);
  add_trees();
  Simulation(model, name + ", trees", 96, random).run(kinds, 150, 6, 150);
  std::erase_if(kinds, [](const Kind& kind) { return kind.trees; });
  kinds.push_back(
      {.sampling = {.repetition_penalty = 1.1f, .frequency_penalty = 0.2f}, .block_size = block});
  kinds.push_back({.sampling = {.temperature = 0.8f,
                                .top_p = 0.9f,
                                .seed = random(),
                                .repetition_penalty = 1.3f,
                                .presence_penalty = -0.5f,
                                .logit_bias = {{token(), -INFINITY}, {token(), 4}}},
                   .block_size = block});
  Simulation(model, name + ", penalties", 96, random).run(kinds, 100, 6, 100);
  add_trees();
  Simulation(model, name + ", trees, penalties", 96, random).run(kinds, 100, 6, 100);
  Simulation(model, name + ", many", 512, random).run(kinds, 40, 40, 100);
  // To the last position.
  const int whole = std::min(1024, config.max_position_embeddings);
  const Kind tree{.block_size = block, .trees = true};
  for (const Kind& kind : {kinds[0], tree}) {
    Simulation(model, name + ", a whole context", 16, random).run_alone(kind, 24, whole - 24);
  }
}

}  // namespace
}  // namespace orthrus

int main(int argc, char** argv) {
  using namespace orthrus;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is killed has printed its finds
  if (cuda::device_count() == 0) {
    fmt::print("no CUDA device\n");
    return kNoDevice;
  }
  if (argc != 3) return 2;
  const std::filesystem::path data = argv[1], models = argv[2];
  const unsigned seed = test::fresh_seed();
  std::mt19937 random(seed);
  try {
    for (const auto& directory :
         {data / "golden" / "tied", data / "golden" / "untied", models / "tiny-code"}) {
      const auto model = cuda::load_model(load_config(directory), Checkpoint::open(directory),
                                          directory.string(), 0, {});
      check(*model, directory.filename().string(), random);
    }
    constexpr const char* kQwen2 = "qwen2.5-coder-0.5b";  // made-up weights: no draft is right
    ModelConfig shape = *published_shape(kQwen2);
    check(*cuda::random_model(shape, 0), kQwen2, random);
    // With a pairwise term.
    shape.pair_rank = 64;
    check(*cuda::random_model(shape, 0), fmt::format("{}, pairs", kQwen2), random);
    const test::TemporaryDirectory own;
    write_near_ties(own.path(), DType::kBF16, /*pair_rank=*/12);
    Checkpoint checkpoint = Checkpoint::open(own.path());
    const ModelConfig config = checkpoint.config();
    const int accepted_before = accepted;
    check(*cuda::load_model(config, std::move(checkpoint), "near ties", 0, {}), "near ties, pairs",
          random);
    expect(config.pair_rank == 12 && accepted > accepted_before,
           "no draft of a network with a pairwise term was accepted");
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
  fmt::print(
      "seed {}: {} cycles of {} sequences compared, {} prompts, {} tokens, {} accepted "
      "drafts; {} trees of {} nodes, of which {} were accepted beside the likeliest; {} failures\n",
      seed, cycles, joined, prompts, tokens, accepted, trees, nodes, off_trunk, failures);
  return failures == 0 && accepted > 0 && off_trunk > 0 ? 0 : 1;
}
