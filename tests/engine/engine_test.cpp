// The public API: loading, text, callbacks, cancelling, stop strings, sessions, errors.
#include "orthrus/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <numeric>
#include <thread>

#include "orthrus/error.h"
#include "support/expect_error_parts.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

std::filesystem::path tiny_code() {
  return std::filesystem::path(ORTHRUS_MODELS) / "tiny-code";
}

class TinyCode : public testing::Test {
 protected:
  static void SetUpTestSuite() { engine_ = std::make_unique<Engine>(Engine::load(tiny_code())); }
  static void TearDownTestSuite() { engine_.reset(); }

  static Request request(int max_tokens = 60) {
    Request r;
    r.prompt =
        engine_->encode("def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n");
    r.options.max_tokens = max_tokens;
    return r;
  }
  static inline std::unique_ptr<Engine> engine_;
};

TEST_F(TinyCode, StepsAddUpToTheGeneration) {
  for (const Mode mode : {Mode::kAr, Mode::kDual, Mode::kAuto}) {
    Request r = request();
    r.options.mode = mode;
    r.options.tree_nodes = 0;
    std::vector<int32_t> ids;
    std::string text;
    int steps = 0, accepted = 0, made = 0;
    double seconds = 0;
    std::map<DraftSource, int> sources;
    r.on_step = [&](const Step& step) {
      EXPECT_FALSE(step.tokens.empty());
      if (steps == 0) {
        EXPECT_EQ(step.source, DraftSource::kNone);
        EXPECT_EQ(step.seconds, 0);
      } else {
        ++sources[step.source];
      }
      EXPECT_EQ(step.judged, std::min(step.drafted, static_cast<int>(step.tokens.size())));
      EXPECT_TRUE(step.ranks.empty());
      EXPECT_GE(step.seconds, 0);
      made += step.made;
      seconds += step.seconds;
      EXPECT_LE(step.accepted, step.drafted);
      EXPECT_LE(static_cast<int>(step.tokens.size()), step.accepted + 1);
      ids.insert(ids.end(), step.tokens.begin(), step.tokens.end());
      text += step.text;
      accepted += step.accepted;
      ++steps;
      return true;
    };
    const Generation g = engine_->generate(r);
    EXPECT_EQ(ids, g.output_ids);
    EXPECT_EQ(text, g.text);
    EXPECT_EQ(text, engine_->tokenizer()->decode(g.output_ids, true));
    EXPECT_EQ(steps, 1 + g.stats.ar_passes);
    EXPECT_EQ(accepted, g.stats.accepted);
    EXPECT_EQ(g.stats.generated, static_cast<int>(g.output_ids.size()));
    // A cycle drafts, or verifies what is left over or was looked up.
    const auto sum = [](const std::vector<int>& counts) {
      return std::accumulate(counts.begin(), counts.end(), 0);
    };
    EXPECT_EQ(sources[DraftSource::kLeftover], sum(g.stats.leftover));
    EXPECT_EQ(sources[DraftSource::kLookup], sum(g.stats.lookup));
    EXPECT_EQ(sources[DraftSource::kBlock] + sources[DraftSource::kNone], sum(g.stats.drafted));
    int drafted = 0;
    for (size_t d = 0; d < g.stats.drafted.size(); ++d) {
      drafted += static_cast<int>(d) * g.stats.drafted[d];
    }
    EXPECT_EQ(made, drafted);
    EXPECT_LE(seconds, g.stats.decode_seconds + 1e-6);
    const int others = sum(g.stats.leftover) + sum(g.stats.lookup);
    EXPECT_EQ(g.stats.diffusion_passes, mode == Mode::kAr ? 0 : g.stats.cycles - others);
    if (mode != Mode::kAuto) {
      EXPECT_EQ(others, 0);
    }
    EXPECT_DOUBLE_EQ(
        g.stats.tokens_per_forward(),
        double(g.stats.generated) / (1 + g.stats.ar_passes + g.stats.diffusion_passes));
    if (mode == Mode::kDual) {
      EXPECT_GT(g.stats.acceptance_length(), 1.0);
    }
  }
}

TEST_F(TinyCode, StepsOfTreesHaveRanks) {
  Request r = request();
  r.options.mode = Mode::kDual;
  r.options.tree_nodes = 24;
  int accepted = 0, second = 0;
  r.on_step = [&](const Step& step) {
    if (step.source != DraftSource::kTree) return true;
    EXPECT_EQ(static_cast<int>(step.ranks.size()), step.accepted);
    EXPECT_GE(step.judged, step.accepted);
    EXPECT_LE(step.judged, std::min(step.accepted + 1, static_cast<int>(step.tokens.size())));
    accepted += step.accepted;
    for (const int rank : step.ranks) second += rank > 0 ? 1 : 0;
    return true;
  };
  EXPECT_EQ(engine_->generate(r).stats.accepted, accepted);
  EXPECT_GT(accepted, second);
  EXPECT_GT(second, 0);
}

TEST_F(TinyCode, ACallbackCancels) {
  Request r = request();
  int steps = 0;
  r.on_step = [&](const Step&) { return ++steps < 3; };
  const Generation g = engine_->generate(r);
  EXPECT_EQ(g.finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(steps, 3);
  EXPECT_FALSE(g.output_ids.empty());
  EXPECT_EQ(g.text, engine_->tokenizer()->decode(g.output_ids, true));

  r = request();
  r.options.prefill_chunk = 2;
  r.options.cache_salt = "all of it is computed";
  std::vector<int> progress;
  const int total = static_cast<int>(r.prompt.size());
  r.on_prefill = [&](int done, int all) {
    EXPECT_EQ(all, total);
    progress.push_back(done);
    return done < 6;
  };
  const Generation cut = engine_->generate(r);
  EXPECT_EQ(cut.finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(progress, (std::vector<int>{2, 4, 6}));
  EXPECT_TRUE(cut.output_ids.empty());
}

TEST_F(TinyCode, StopStringsEndTextAndIdsWhereverTheyFallInACycle) {
  const Generation whole = engine_->generate(request(80));
  int checked = 0;
  for (size_t at = 4; at + 5 < whole.text.size(); at += 9) {
    const std::string stop = whole.text.substr(at, 5);
    if (stop.size() < 5 || (stop[0] & 0xc0) == 0x80) continue;
    const size_t first = whole.text.find(stop);
    std::vector<int32_t> ids;
    for (const Mode mode : {Mode::kAr, Mode::kDual}) {
      Request r = request(80);
      r.options.mode = mode;
      r.options.stop = {"\x01never", stop};
      std::string streamed;
      r.on_step = [&](const Step& step) {
        streamed += step.text;
        return true;
      };
      const Generation g = engine_->generate(r);
      EXPECT_EQ(g.finish_reason, FinishReason::kStop);
      EXPECT_EQ(g.text, whole.text.substr(0, first));
      EXPECT_EQ(streamed, g.text);
      // The last id is the one that completes the stop string.
      const auto prefix = std::span(g.output_ids);
      EXPECT_NE(engine_->tokenizer()->decode(prefix).find(stop), std::string::npos);
      EXPECT_EQ(engine_->tokenizer()->decode(prefix.first(prefix.size() - 1)).find(stop),
                std::string::npos);
      if (mode == Mode::kAr) ids = g.output_ids;
      EXPECT_EQ(g.output_ids, ids);
      ++checked;
    }
  }
  EXPECT_GT(checked, 10);
}

// What a pass gave beyond the token that completes a stop string was never generated.
TEST_F(TinyCode, AStopStringIsNamedAndLogprobsEndWithItsLastToken) {
  Request r = request(80);
  r.options.logprobs = 2;
  const Generation whole = engine_->generate(r);
  ASSERT_EQ(whole.logprobs.size(), 80u);
  EXPECT_EQ(whole.stop_string, "");
  int cut = 0;
  for (size_t at = 4; at + 5 < whole.text.size(); at += 19) {
    const std::string stop = whole.text.substr(at, 3);
    if ((stop[0] & 0xc0) == 0x80) continue;
    for (const Mode mode : {Mode::kAr, Mode::kDual}) {
      r.options.mode = mode;
      r.options.stop = {"\x01never", stop, stop + "\x01"};
      std::vector<TokenLogprobs> streamed;
      r.on_step = [&](const Step& step) {
        EXPECT_EQ(step.logprobs.size(), step.tokens.size());
        EXPECT_LE(static_cast<size_t>(step.accepted), step.tokens.size());
        streamed.insert(streamed.end(), step.logprobs.begin(), step.logprobs.end());
        cut += static_cast<int>(step.tokens.size()) < step.accepted + 1;
        return true;
      };
      const Generation g = engine_->generate(r);
      EXPECT_EQ(g.stop_string, stop);
      ASSERT_EQ(g.logprobs.size(), g.output_ids.size());
      EXPECT_EQ(streamed, g.logprobs);
      EXPECT_TRUE(std::equal(g.logprobs.begin(), g.logprobs.end(), whole.logprobs.begin()));
      for (size_t i = 0; i < g.logprobs.size(); ++i) {
        EXPECT_EQ(g.logprobs[i].chosen.token, g.output_ids[i]);
      }
    }
  }
  EXPECT_GT(cut, 0);
  // An end token is no stop string.
  r = request(60);
  r.options.stop_token_ids = {whole.output_ids[20]};
  const Generation ended = engine_->generate(r);
  EXPECT_EQ(ended.finish_reason, FinishReason::kStop);
  EXPECT_EQ(ended.stop_string, "");
}

// The end token of this checkpoint is one that it is known to generate.
TEST_F(TinyCode, EndTokensStopUnlessIgnored) {
  Request r = request(60);
  const std::vector<int32_t> whole = engine_->generate(r).output_ids;
  const int32_t end = whole[40];
  const auto first = std::find(whole.begin(), whole.end(), end);
  const std::vector<int32_t> cut(whole.begin(), first + 1);
  // It has no text, though the tokenizer knows it as an ordinary token.
  ASSERT_FALSE(engine_->tokenizer()->token_bytes(end).empty());
  const std::string text = engine_->tokenizer()->decode(std::span(cut).first(cut.size() - 1), true);

  const test::TemporaryDirectory dir;
  for (const char* file : {"model.safetensors", "tokenizer.json", "config.json"}) {
    std::filesystem::copy(tiny_code() / file, dir / file);
  }
  test::write_file(dir / "generation_config.json",
                   "{\"eos_token_id\": " + std::to_string(end) + "}");
  const Engine ending = Engine::load(dir.path());
  for (const Mode mode : {Mode::kAr, Mode::kDual}) {
    r = request(60);
    r.options.mode = mode;
    const Generation by_eos = ending.generate(r);
    EXPECT_EQ(by_eos.output_ids, cut);
    EXPECT_EQ(by_eos.text, text);
    EXPECT_EQ(by_eos.finish_reason, FinishReason::kStop);
    r.options.ignore_eos = true;
    const Generation ignoring = ending.generate(r);
    EXPECT_EQ(ignoring.output_ids, whole);
    EXPECT_EQ(ignoring.finish_reason, FinishReason::kLength);
    r.options.stop_token_ids = {end};
    const Generation by_request = ending.generate(r);
    EXPECT_EQ(by_request.output_ids, cut);
    EXPECT_EQ(by_request.text, text);
    EXPECT_EQ(by_request.finish_reason, FinishReason::kStop);
  }
}

// A word that is generated is made special: it has no text, but stop strings see it.
TEST_F(TinyCode, StopStringsMayHaveSpecialTokensInThem) {
  const std::vector<int32_t> whole = engine_->generate(request(60)).output_ids;
  const Tokenizer& plain = *engine_->tokenizer();
  // The first word of lower-case letters that is one token, and not in the text before.
  const auto is_new_word = [&](const int32_t& id) {
    const std::string_view bytes = plain.token_bytes(id);
    const std::string text = plain.decode(std::span(whole.data(), &id));
    return bytes.size() > 1 && text.find(bytes) == text.npos &&
           std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  };
  const auto word = std::find_if(whole.begin() + 1, whole.end() - 1, is_new_word);
  ASSERT_NE(word, whole.end() - 1);
  const std::string name(plain.token_bytes(*word));
  const test::TemporaryDirectory dir;
  for (const char* file : {"model.safetensors", "config.json"}) {
    std::filesystem::copy(tiny_code() / file, dir / file);
  }
  nlohmann::json file = nlohmann::json::parse(std::ifstream(tiny_code() / "tokenizer.json"));
  file["added_tokens"].push_back(
      {{"id", *word}, {"content", name}, {"special", true}, {"normalized", false}});
  test::write_file(dir / "tokenizer.json", file.dump());
  const Engine engine = Engine::load(dir.path());

  const std::string before(plain.token_bytes(word[-1]));
  const std::string after(plain.token_bytes(word[1]));
  const std::string text = plain.decode(std::span(whole.begin(), word));
  for (const Mode mode : {Mode::kAr, Mode::kDual}) {
    Request r = request(60);
    r.options.mode = mode;
    r.options.stop = {name + after};
    EXPECT_EQ(engine.generate(r).text, text);
    r.options.stop = {before + name};
    const Generation g = engine.generate(r);
    EXPECT_EQ(g.text, text.substr(0, text.size() - before.size()));
    EXPECT_EQ(g.finish_reason, FinishReason::kStop);
    EXPECT_EQ(g.output_ids.back(), *word);
  }
}

// What a stop string and a character hold back at the end comes out in order.
TEST_F(TinyCode, WhatIsHeldBackAtTheEndComesOutInOrder) {
  const Generation whole = engine_->generate(request(40));
  for (int n = 1; n <= 40; ++n) {
    Request r = request(n);
    const std::string text = engine_->tokenizer()->decode(
        std::span(whole.output_ids)
            .first(static_cast<size_t>(std::min<size_t>(n, whole.output_ids.size()))),
        true);
    r.options.stop = {text + "\x01 never"};  // so that all of the text is held back
    EXPECT_EQ(engine_->generate(r).text, text);
  }
}

TEST_F(TinyCode, SessionsReuseWhatTheyComputed) {
  Session session = engine_->start_session();
  Request r = request(40);
  r.options.ignore_eos = true;
  r.options.cache_salt = "of this session";
  const Generation first = session.generate(r);
  EXPECT_EQ(first.stats.cached_tokens, 0);
  Request next = r;
  next.prompt.insert(next.prompt.end(), first.output_ids.begin(), first.output_ids.end());
  const int before = static_cast<int>(next.prompt.size());
  const auto more = engine_->encode("\n\nprint(");
  next.prompt.insert(next.prompt.end(), more.begin(), more.end());
  const Generation second = session.generate(next);
  EXPECT_EQ(second.stats.cached_tokens, before - 1);  // the last token's keys were not computed yet
  EXPECT_EQ(second.output_ids, engine_->generate(next).output_ids);
  // The same again: all but the last prompt token are there.
  EXPECT_EQ(session.generate(next).output_ids, second.output_ids);
  const Generation third = session.generate(next);
  EXPECT_EQ(third.stats.cached_tokens, static_cast<int>(next.prompt.size()) - 1);
  // A refused request leaves the session as it was.
  Request bad = next;
  bad.prompt.clear();
  EXPECT_THROW(session.generate(bad), Error);
  const Generation fourth = session.generate(next);
  EXPECT_EQ(fourth.output_ids, second.output_ids);
  EXPECT_EQ(fourth.stats.cached_tokens, static_cast<int>(next.prompt.size()) - 1);
}

TEST_F(TinyCode, ManyThreadsMayGenerateAtOnce) {
  const Generation want = engine_->generate(request(30));
  std::vector<Generation> got(4);
  {
    std::vector<std::jthread> threads;
    for (Generation& g : got) threads.emplace_back([&g] { g = engine_->generate(request(30)); });
  }
  for (const Generation& g : got) EXPECT_EQ(g.output_ids, want.output_ids);
}

TEST_F(TinyCode, RejectionIsMatchWhenGreedyAndRunsWhenNot) {
  Request r = request();
  const Generation match = engine_->generate(r);
  r.options.accept = AcceptRule::kRejection;
  EXPECT_EQ(engine_->generate(r).output_ids, match.output_ids);
  r.options.sampling.temperature = 0.8f;
  r.options.ignore_eos = true;
  const Generation a = engine_->generate(r);
  EXPECT_EQ(a.output_ids, engine_->generate(r).output_ids);
  EXPECT_EQ(a.output_ids.size(), 60u);
  EXPECT_GT(a.stats.accepted, 0);
}

TEST_F(TinyCode, TheContextEndsTheGeneration) {
  Request r = request(1000000);
  r.options.ignore_eos = true;
  r.prompt.assign(2000, 5);
  const Generation g = engine_->generate(r);
  EXPECT_EQ(g.output_ids.size(), 48u);  // 2048 positions
  EXPECT_EQ(g.finish_reason, FinishReason::kLength);
}

TEST_F(TinyCode, NoRequestsGiveNoGenerations) {
  EXPECT_TRUE(engine_->generate(std::span<const Request>{}).empty());
}

TEST(Engine, WithoutATokenizerIdsStillWork) {
  const test::TemporaryDirectory dir;
  write_random_checkpoint(dir.path(), small_config_json(), DType::kF16);
  const Engine engine = Engine::load(dir.path(), {.threads = 2});
  EXPECT_EQ(engine.tokenizer(), nullptr);
  EXPECT_EQ(engine.threads(), 2);
  test::expect_error_parts([&] { engine.encode("x"); }, ErrorKind::kUsage, {"has no tokenizer"});
  Request r;
  r.prompt = {1, 2, 3};
  r.options.max_tokens = 20;
  const Generation g = engine.generate(r);
  EXPECT_EQ(g.output_ids.size(), 20u);
  EXPECT_EQ(g.text, "");
}

// Head sizes, GQA ratios, depths and types that no shipped model has.
TEST(Engine, UnusualShapesDecodeTheSameInBothModes) {
  struct Shape {
    int heads, kv_heads, head_dim, layers, block;
    DType type;
  };
  for (const Shape& shape :
       {Shape{1, 1, 2, 1, 2, DType::kF32}, Shape{6, 3, 18, 3, 5, DType::kF16},
        Shape{5, 1, 34, 1, 100, DType::kBF16}, Shape{4, 4, 130, 2, 70, DType::kF32}}) {
    const test::TemporaryDirectory dir;
    auto config = small_config_json();
    config["num_attention_heads"] = shape.heads;
    config["num_key_value_heads"] = shape.kv_heads;
    config["head_dim"] = shape.head_dim;
    config["num_hidden_layers"] = shape.layers;
    config["block_size"] = shape.block;
    write_random_checkpoint(dir.path(), config, shape.type);
    const Engine engine = Engine::load(dir.path());
    Request r;
    r.prompt = {4, 5, 6, 7};
    r.options.max_tokens = 120;
    r.options.mode = Mode::kAr;
    const Generation ar = engine.generate(r);
    r.options.mode = Mode::kDual;
    EXPECT_EQ(engine.generate(r).output_ids, ar.output_ids);
    EXPECT_EQ(ar.output_ids.size(), 120u);
  }
}

// Finite weights can still overflow; that is a status, not a crash and not a token.
TEST(Engine, OverflowingLogitsAreAStatus) {
  const test::TemporaryDirectory dir;
  write_overflowing_checkpoint(dir.path());
  const Engine engine = Engine::load(dir.path());
  Request r;
  r.prompt = {1};
  const Generation g = engine.generate(r);
  EXPECT_EQ(g.finish_reason, FinishReason::kFailed);
  EXPECT_EQ(g.status, Status::kNonFiniteLogits);
}

TEST(Engine, LoadErrors) {
  test::expect_error_parts([] { Engine::load("/nonexistent/model"); }, ErrorKind::kFile,
                           {"/nonexistent/model"});
  test::expect_error_parts([] { Engine::load(tiny_code(), {.threads = -1}); }, ErrorKind::kUsage,
                           {"threads is -1; valid is 1 to 1024"});
}

}  // namespace
}  // namespace orthrus
