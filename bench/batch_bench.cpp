// Requests beside each other: tokens a second of Engine::generate, prompts included.
//
//   batch_bench MODEL DEVICE STREAMS PROMPT_TOKENS TOKENS [ROUNDS]
//
// MODEL is a path, or a published shape with made-up weights (qwen3-8b); DEVICE cpu or cuda. Each
// round asks for other prompts, plainly and with mode auto, by turns. The tokens a second of
// decoding alone are the difference of two runs with different TOKENS.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "orthrus/published_shapes.h"

namespace {

orthrus::Engine open(const std::string& model, std::string_view device) {
  orthrus::EngineOptions options;
  if (device == "cuda") options.device.kind = orthrus::Device::Kind::kCuda;
  const auto shape = orthrus::published_shape(model);
  return shape ? orthrus::Engine::synthetic(*shape, options)
               : orthrus::Engine::load(model, options);
}

std::vector<orthrus::Request> requests(int count, int prompt, int tokens, int round,
                                       orthrus::Mode mode) {
  std::vector<orthrus::Request> requests(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    orthrus::Request& request = requests[static_cast<size_t>(i)];
    for (int at = 0; at < prompt; ++at) {
      request.prompt.push_back(5 + (i * 7919 + at * 104729 + round * 31) % 4000);
    }
    request.options.max_tokens = tokens;
    request.options.ignore_eos = true;
    request.options.mode = mode;
    request.options.cache_salt = orthrus::name_of(mode);  // neither has the other's prompts
  }
  return requests;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 6) {
    std::fprintf(stderr, "usage: %s MODEL cpu|cuda STREAMS PROMPT_TOKENS TOKENS [ROUNDS]\n",
                 argv[0]);
    return 2;
  }
  const int streams = std::atoi(argv[3]), prompt = std::atoi(argv[4]), tokens = std::atoi(argv[5]);
  const int rounds = argc > 6 ? std::atoi(argv[6]) : 3;
  if (std::min({streams, prompt, tokens, rounds}) < 1) {
    std::fprintf(stderr, "Streams, tokens and rounds are whole numbers from 1.\n");
    return 2;
  }
  const orthrus::Engine engine = open(argv[1], argv[2]);
  for (int round = 0; round < rounds; ++round) {
    for (const orthrus::Mode mode : {orthrus::Mode::kAr, orthrus::Mode::kAuto}) {
      const auto asked = requests(streams, prompt, tokens, round, mode);
      const auto start = std::chrono::steady_clock::now();
      const auto answers = engine.generate(asked);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      size_t total = 0;
      int accepted = 0;
      for (const orthrus::Generation& answer : answers) {
        total += answer.output_ids.size();
        accepted += answer.stats.accepted;
      }
      std::printf("%-4s %.3f s, %.0f tokens/s, %d drafts accepted\n",
                  std::string(orthrus::name_of(mode)).c_str(), took.count(),
                  static_cast<double>(total) / took.count(), accepted);
    }
  }
  return 0;
} catch (const orthrus::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
