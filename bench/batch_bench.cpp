// Requests beside each other: tokens a second of Engine::generate.
//
//   batch_bench MODEL DEVICE STREAMS PROMPTS TOKENS [ROUNDS [TEMPERATURE]]
//
// MODEL is a path, or a published shape with made-up weights (qwen3-8b); DEVICE cpu or cuda.
// PROMPTS is a number of made-up tokens, or @FILE, a text a line, of which each stream takes the
// next. Each round asks plainly, and with mode auto by chains and by trees, by turns. What it says:
// the whole call, prompts included; and decoding while all streams do, and where those tokens stood
// on average.
//
// The drafts of made-up weights are never right where decoding is greedy. At a temperature the
// noise is the same in both views: the higher it is, the more drafts are right.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "orthrus/published_shapes.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Load {
  int streams, prompt, tokens;
  float temperature;
  std::vector<std::string> texts;  // none: prompts of so many tokens
};

// How it is decoded.
struct Way {
  const char* name;
  orthrus::Mode mode;
  int tree_nodes;
};

orthrus::Engine open(const std::string& model, std::string_view device) {
  orthrus::EngineOptions options;
  if (device == "cuda") options.device.kind = orthrus::Device::Kind::kCuda;
  const auto shape = orthrus::published_shape(model);
  return shape ? orthrus::Engine::synthetic(*shape, options)
               : orthrus::Engine::load(model, options);
}

std::vector<orthrus::Request> requests(const orthrus::Engine& engine, const Load& load, int round,
                                       const Way& way) {
  std::vector<orthrus::Request> requests(static_cast<size_t>(load.streams));
  for (int i = 0; i < load.streams; ++i) {
    orthrus::Request& request = requests[static_cast<size_t>(i)];
    if (load.texts.empty()) {
      for (int at = 0; at < load.prompt; ++at) {
        request.prompt.push_back(5 + (i * 7919 + at * 104729 + round * 31) % 4000);
      }
    } else {
      const auto next = static_cast<size_t>(i + round * load.streams);
      request.prompt = engine.encode(load.texts[next % load.texts.size()]);
    }
    request.options.max_tokens = load.tokens;
    request.options.sampling.temperature = load.temperature;
    request.options.sampling.seed = static_cast<uint64_t>(i);
    request.options.ignore_eos = true;
    request.options.mode = way.mode;
    request.options.tree_nodes = way.tree_nodes;
    request.options.cache_salt = way.name;  // none has another's prompts
  }
  return requests;
}

// When tokens came, in the order of time.
class Timeline {
 public:
  explicit Timeline(size_t streams) : done_(streams) {}

  void add(size_t stream, int tokens) {
    events_.push_back({Clock::now(), stream, done_[stream], tokens});
    done_[stream] += tokens;
  }

  // All streams at a time: from the first token of the stream that begins last, to another one of
  // its tokens, so that passes are counted whole.
  void print(const std::vector<orthrus::Request>& asked) const {
    size_t begun = 0, last = 0, end = 0, first = 0;
    for (size_t i = 0; i < events_.size(); ++i) {
      const Event& event = events_[i];
      if (begun < done_.size() && event.before == 0 && ++begun == done_.size()) {
        last = event.stream, first = end = i;
      }
      if (begun == done_.size() && event.stream == last) end = i;
      if (begun == done_.size() && event.before + event.tokens == done_[event.stream]) break;
    }
    if (end == first) return std::puts("; never all at a time"), void();
    int tokens = 0;
    double positions = 0;
    for (const Event& event : std::span(events_).subspan(first + 1, end - first)) {
      tokens += event.tokens;
      const auto prompt = static_cast<double>(asked[event.stream].prompt.size());
      positions += event.tokens * (prompt + event.before + 0.5 * event.tokens);
    }
    const std::chrono::duration<double> took = events_[end].time - events_[first].time;
    std::printf("; all at a time %.0f tokens/s, behind %.0f on average\n", tokens / took.count(),
                positions / tokens);
  }

 private:
  struct Event {
    Clock::time_point time;
    size_t stream;
    int before, tokens;  // of the stream
  };
  std::vector<Event> events_;
  std::vector<int> done_;
};

void measure(const orthrus::Engine& engine, const Load& load, int round, const Way& way) {
  auto asked = requests(engine, load, round, way);
  Timeline timeline(asked.size());
  for (size_t i = 0; i < asked.size(); ++i) {
    asked[i].on_step = [&timeline, i](const orthrus::Step& step) {
      timeline.add(i, static_cast<int>(step.tokens.size()));
      return true;
    };
  }
  const auto start = Clock::now();
  const auto answers = engine.generate(asked);
  const std::chrono::duration<double> took = Clock::now() - start;
  size_t total = 0;
  int accepted = 0;
  size_t drafts = 0;
  for (const orthrus::Generation& answer : answers) {
    total += answer.output_ids.size();
    accepted += answer.stats.accepted;
    const std::vector<int>& verified = answer.stats.verified;  // cycles, by drafts
    for (size_t n = 1; n < verified.size(); ++n) drafts += n * static_cast<size_t>(verified[n]);
  }
  std::printf("%-6s %.3f s, %.0f tokens/s, %d of %zu drafts accepted", way.name, took.count(),
              static_cast<double>(total) / took.count(), accepted, drafts);
  timeline.print(asked);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 6) {
    std::fprintf(
        stderr,
        "usage: %s MODEL cpu|cuda STREAMS PROMPT_TOKENS|@FILE TOKENS [ROUNDS [TEMPERATURE]]\n",
        argv[0]);
    return 2;
  }
  const bool from_file = argv[4][0] == '@';
  Load load = {std::atoi(argv[3]),
               from_file ? 1 : std::atoi(argv[4]),
               std::atoi(argv[5]),
               argc > 7 ? std::strtof(argv[7], nullptr) : 0,
               {}};
  const int rounds = argc > 6 ? std::atoi(argv[6]) : 3;
  if (std::min({load.streams, load.prompt, load.tokens, rounds}) < 1) {
    std::fprintf(stderr, "Streams, tokens and rounds are whole numbers from 1.\n");
    return 2;
  }
  if (from_file) {
    std::ifstream file(argv[4] + 1);
    for (std::string line; std::getline(file, line);) load.texts.push_back(line);
    if (load.texts.empty()) {
      std::fprintf(stderr, "%s: has no line, or cannot be read.\n", argv[4] + 1);
      return 1;
    }
  }
  const orthrus::Engine engine = open(argv[1], argv[2]);
  for (int round = 0; round < rounds; ++round) {
    for (const Way& way : {Way{"ar", orthrus::Mode::kAr, 0}, Way{"chains", orthrus::Mode::kAuto, 0},
                           Way{"trees", orthrus::Mode::kAuto, 32}}) {
      measure(engine, load, round, way);
    }
  }
  return 0;
} catch (const orthrus::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
