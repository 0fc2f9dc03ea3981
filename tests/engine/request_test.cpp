// Requests outside their ranges, and what the error says.
#include "engine/request.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/expect_error_parts.h"

namespace orthrus {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.architecture = "OrthrusLM";
  config.vocab_size = 100;
  config.max_position_embeddings = 50;
  config.block_size = 8;
  config.mask_token_id = 99;
  config.eos_token_ids = {7};
  return config;
}

Request request_of(const std::function<void(Request&)>& change) {
  Request request;
  request.prompt = {1, 2, 3};
  change(request);
  return request;
}

const Tokenizer& tokenizer() {
  static const Tokenizer loaded =
      Tokenizer::load(std::filesystem::path(ORTHRUS_MODELS) / "tiny-code" / "tokenizer.json");
  return loaded;
}

TEST(Request, EachBadValueIsNamedWithItsRange) {
  struct Case {
    std::function<void(Request&)> change;
    std::string message;
  };
  const Case cases[] = {
      {[](Request& r) { r.prompt.clear(); },
       "The prompt is empty; it must have at least one token"},
      {[](Request& r) { r.prompt.assign(50, 1); },
       "The prompt has 50 tokens; this model's context of 50 allows at most 49"},
      {[](Request& r) { r.prompt[1] = 100; },
       "Prompt token 1 has id 100; this model's ids are 0 to 99"},
      {[](Request& r) { r.prompt[0] = -1; }, "Prompt token 0 has id -1"},
      {[](Request& r) { r.options.max_tokens = 0; }, "max_tokens is 0; valid is 1 or more"},
      {[](Request& r) { r.options.max_tokens = -5; }, "max_tokens is -5"},
      {[](Request& r) { r.options.prefill_chunk = -1; }, "prefill_chunk is -1; valid is 1 or more"},
      {[](Request& r) { r.options.block_size = 1; },
       "block_size is 1; valid is 2 to 8 for this model"},
      {[](Request& r) { r.options.block_size = 9; },
       "block_size is 9; valid is 2 to 8 for this model"},
      {[](Request& r) {
         r.options.mode = Mode::kAr;
         r.options.block_size = 4;
       },
       "block_size is 4, but mode ar drafts no blocks"},
      {[](Request& r) { r.options.sampling.temperature = -1; },
       "temperature is -1; valid is 0 to 100"},
      {[](Request& r) { r.options.sampling.temperature = NAN; }, "temperature is nan"},
      {[](Request& r) { r.options.sampling.temperature = INFINITY; }, "temperature is inf"},
      {[](Request& r) { r.options.sampling.top_k = -1; }, "top_k is -1; valid is 0 (off) or more"},
      {[](Request& r) { r.options.sampling.top_p = 0; }, "top_p is 0; valid is above 0, up to 1"},
      {[](Request& r) { r.options.sampling.top_p = 1.5f; }, "top_p is 1.5"},
      {[](Request& r) { r.options.sampling.min_p = NAN; }, "min_p is nan; valid is 0 to 1"},
      {[](Request& r) { r.options.sampling.repetition_penalty = 0; },
       "repetition_penalty is 0; valid is 1e-06 to 100"},
      {[](Request& r) { r.options.sampling.repetition_penalty = NAN; },
       "repetition_penalty is nan"},
      {[](Request& r) { r.options.sampling.presence_penalty = 2.5f; },
       "presence_penalty is 2.5; valid is -2 to 2"},
      {[](Request& r) { r.options.sampling.frequency_penalty = NAN; },
       "frequency_penalty is nan; valid is -2 to 2"},
      {[](Request& r) {
         r.options.sampling.logit_bias = {{100, 1}};
       },
       "logit_bias: a token is 100; valid is 0 to 99 for this model"},
      {[](Request& r) {
         r.options.sampling.logit_bias = {{3, 1}, {7, 101}};
       },
       "logit_bias of token 7 is 101; valid is -100 to 100, or -infinity"},
      {[](Request& r) {
         r.options.sampling.logit_bias = {{7, NAN}};
       },
       "logit_bias of token 7 is nan"},
      {[](Request& r) {
         for (int32_t token = 0; token < 100; ++token) {
           r.options.sampling.logit_bias.push_back({token, -INFINITY});
         }
       },
       "logit_bias suppresses all 100 tokens of this model."},
      {[](Request& r) {
         r.options.stop_token_ids = {3, 100};
       },
       "A stop token id is 100; valid is 0 to 99 for this model"},
      {[](Request& r) { r.options.stop = {""}; }, "A stop string is empty"},
  };
  for (const Case& c : cases) {
    test::expect_error_parts(
        [&] { check_request(small_config(), request_of(c.change), &tokenizer()); },
        ErrorKind::kUsage, {c.message});
  }
}

TEST(Request, AnArOnlyCheckpointRefusesTheDualModeAndDefaultsToLookup) {
  ModelConfig config = small_config();
  config.architecture = "Qwen3ForCausalLM";
  config.block_size = 0;
  test::expect_error_parts(
      [&] {
        check_request(config, request_of([](Request& r) { r.options.mode = Mode::kDual; }),
                      &tokenizer());
      },
      ErrorKind::kUsage,
      {"Mode dual needs a checkpoint with a diffusion view", "Qwen3ForCausalLM"});
  test::expect_error_parts(
      [&] {
        check_request(config, request_of([](Request& r) { r.options.block_size = 4; }),
                      &tokenizer());
      },
      ErrorKind::kUsage, {"block_size is 4, but a checkpoint without a diffusion view"});
  for (const bool named : {false, true}) {
    const Request automatic = request_of([&](Request& r) {
      if (named) r.options.mode = Mode::kAuto;
    });
    EXPECT_EQ(check_request(config, automatic, &tokenizer()).block_size, 1);
    EXPECT_TRUE(check_request(config, automatic, &tokenizer()).lookup);
    EXPECT_TRUE(chooses(config, automatic));
  }
  // What may not look up decodes plainly.
  for (const Request& plain :
       {request_of([](Request& r) { r.options.lookup = false; }),
        request_of([](Request& r) { r.options.mode = Mode::kAr; }), request_of([](Request& r) {
          r.options.accept = AcceptRule::kRejection;
          r.options.sampling.temperature = 1;
        })}) {
    EXPECT_FALSE(check_request(config, plain, &tokenizer()).lookup);
    EXPECT_FALSE(chooses(config, plain));
  }
}

TEST(Request, OnlyTheModeThatChoosesLooksUp) {
  const auto looks_up = [](const std::function<void(Request&)>& change) {
    return check_request(small_config(), request_of(change), &tokenizer()).lookup;
  };
  EXPECT_TRUE(looks_up([](Request&) {}));
  EXPECT_FALSE(looks_up([](Request& r) { r.options.lookup = false; }));
  EXPECT_FALSE(looks_up([](Request& r) { r.options.mode = Mode::kDual; }));
  EXPECT_FALSE(looks_up([](Request& r) { r.options.mode = Mode::kAr; }));
}

TEST(Request, StopStringsNeedATokenizer) {
  test::expect_error_parts(
      [&] {
        check_request(small_config(), request_of([](Request& r) { r.options.stop = {"x"}; }),
                      nullptr);
      },
      ErrorKind::kUsage, {"Stop strings need a tokenizer"});
}

// A special token has no text in which a stop string could be found.
TEST(Request, AStopStringThatNamesAnAddedTokenIsAStopToken) {
  const auto id = tokenizer().find_added("<|mask|>");
  ASSERT_TRUE(id.has_value());
  const DecodeParams params = check_request(small_config(), request_of([](Request& r) {
                                              r.options.stop = {"def", "<|mask|>"};
                                            }),
                                            &tokenizer());
  EXPECT_EQ(params.stop_token_ids, (std::vector<int32_t>{*id, 7}));
}

TEST(Request, DefaultsAndCaps) {
  const DecodeParams params =
      check_request(small_config(), request_of([](Request&) {}), &tokenizer());
  EXPECT_EQ(params.block_size, 8);
  EXPECT_EQ(params.max_tokens, 47);  // what the context of 50 leaves
  EXPECT_EQ(params.stop_token_ids, std::vector<int32_t>{7});
  const DecodeParams ar = check_request(small_config(), request_of([](Request& r) {
                                          r.options.mode = Mode::kAr;
                                          r.options.ignore_eos = true;
                                          r.options.stop_token_ids = {11};
                                        }),
                                        &tokenizer());
  EXPECT_EQ(ar.block_size, 1);
  EXPECT_EQ(ar.stop_token_ids, std::vector<int32_t>{11});
}

}  // namespace
}  // namespace orthrus
