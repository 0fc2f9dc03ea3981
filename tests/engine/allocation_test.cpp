// Every single allocation of loading, generating and encoding fails once, and then every one from
// there on: what comes out is an error, a status or what is right, and the process lives.
//
// This program's malloc is its own, so it is not built with sanitizers, which have theirs.
#include <errno.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <new>
#include <optional>
#include <utility>

#include "orthrus/async_engine.h"
#include "orthrus/chat.h"
#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "orthrus/inspect.h"
#include "support/gguf_model.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"
#include "tokenizer/small_tokenizer.h"

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
}

namespace {

// Counted down by each allocation of any thread; those fail that find it at zero, or below it too.
constexpr long kNever = 1L << 62;
std::atomic<long> until_failure = kNever;
std::atomic<bool> goes_on = false;  // failing
std::atomic<long> failures = 0;

bool fails() {
  const long left = until_failure.fetch_sub(1, std::memory_order_relaxed);
  if (left > 0 || (left < 0 && !goes_on)) return false;
  ++failures;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {
void* malloc(size_t size) noexcept {
  return fails() ? nullptr : __libc_malloc(size);
}
void* calloc(size_t count, size_t size) noexcept {
  return fails() ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* old, size_t size) noexcept {
  return fails() ? nullptr : __libc_realloc(old, size);
}
void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return fails() ? nullptr : __libc_memalign(alignment, size);
}
int posix_memalign(void** result, size_t alignment, size_t size) noexcept {
  if (fails()) return ENOMEM;
  *result = __libc_memalign(alignment, size);
  return *result == nullptr ? ENOMEM : 0;
}
}

namespace orthrus {
namespace {

// Runs `work` again and again, each time failing one allocation later, until none fails; once so
// that the others succeed, and once so that all later ones fail too. `work` returns whether all
// went well, as it must when nothing failed; `check` sees what it gave then. Returns how many
// allocations `work` makes.
long sweep(const std::function<bool()>& work, const std::function<void(long)>& check) {
  long count = 0;
  for (const bool all_later : {false, true}) {
    bool any = true;
    for (long at = 0; any && !testing::Test::HasFailure(); ++at) {
      goes_on = all_later;
      failures = 0;
      until_failure = at;
      const bool well = work();
      until_failure = kNever;
      any = failures > 0;
      if (well) check(at);
      EXPECT_TRUE(well || any) << "no allocation failed, of " << at;
      count = at;
    }
  }
  return count;
}

// Lets pass what may be thrown where memory fails.
template <typename Work>
bool throws_nothing(const Work& work) {
  try {
    work();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const Error&) {
    if (failures == 0) throw;
  }
  return false;
}

// For work that always ends with this error, or fails earlier.
template <typename Work>
void sweep_error(const Work& work, const std::string& message) {
  const auto is_refused = [&] {
    try {
      work();
    } catch (const std::bad_alloc&) {
    } catch (const Error& error) {
      return error.what() == message;
    }
    return false;
  };
  EXPECT_GT(sweep(is_refused, [](long) {}), 5) << message;
}

class Allocation : public testing::Test {
 protected:
  static nlohmann::json config_json() {
    nlohmann::json config = small_config_json();
    config["vocab_size"] = 280;
    config["hidden_size"] = 32;
    config["intermediate_size"] = 32;
    config["num_hidden_layers"] = 1;
    config["num_attention_heads"] = 2;
    config["num_key_value_heads"] = 1;
    config["head_dim"] = 32;
    config["mask_token_id"] = 279;
    config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 10000.0}};
    config["layer_types"] = {"full_attention"};
    config["quantized"] = {{"a", {1, {2, {{"b", {3}}}}}}};  // of no interest
    return config;
  }

  // Of each kind of file, one that holds what nests.
  void write_directory() const {
    write_config(directory_.path(), config_json());
    ModelConfig config = load_config(directory_.path());
    config.pair_rank = 4;
    nlohmann::json index;
    for (const test::TensorToWrite& tensor : random_tensors(config, DType::kBF16)) {
      const bool diffusion = tensor.name.find("_diff") != std::string::npos;
      index["weight_map"][tensor.name] = diffusion ? "b.safetensors" : "a.safetensors";
      (diffusion ? diffusion_ : shared_).push_back(tensor);
    }
    test::write_safetensors(directory_ / "a.safetensors", shared_);
    test::write_safetensors(directory_ / "b.safetensors", diffusion_);
    write("model.safetensors.index.json", index);
    write("generation_config.json", {{"eos_token_id", {270, 271}},
                                     {"suppress_tokens", {272}},
                                     {"stop_strings", {"never to be seen"}},
                                     {"bad_words_ids", {{1, 2}, {3}}}});
    nlohmann::json tokenizer = test::small_tokenizer();
    tokenizer["added_tokens"] = {test::added_token("<|im_end|>", 261)};
    write("tokenizer.json", tokenizer);
    nlohmann::json added = test::added_token("<|extra|>", 262);
    added.erase("id");
    write("tokenizer_config.json",
          {{"added_tokens_decoder", {{"262", added}}},
           {"eos_token", {{"content", "<|im_end|>"}}},
           {"chat_template", {{{"name", "default"}, {"template", "{{ messages }}"}}}}});
  }

  void write(const char* name, const nlohmann::json& content) const {
    test::write_file(directory_ / name, content.dump());
  }

  void write_gguf(const std::filesystem::path& file) const {
    const ModelConfig config = load_config(directory_.path());
    test::GgufWriter writer = test::gguf_of(config, test::random_tensors_in(config, DType::kQ8_0));
    std::vector<std::string> tokens(261);
    const nlohmann::json tokenizer = test::small_tokenizer();
    for (const auto& [text, id] : tokenizer["model"]["vocab"].items()) tokens[id] = text;
    writer.text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "qwen2")
        .text("tokenizer.chat_template", "{{ messages }}")
        .texts("tokenizer.ggml.tokens", tokens)
        .i32s("tokenizer.ggml.token_type", std::vector<int32_t>(tokens.size(), 1))
        .texts("tokenizer.ggml.merges", {"h e", "l l", "he ll", "hell o", "Ġ w"})
        .u32("tokenizer.ggml.eos_token_id", 3)
        .write(file);
  }

  static std::optional<Engine> load(const std::filesystem::path& model,
                                    const EngineOptions& options) {
    std::optional<Engine> engine;
    throws_nothing([&] { engine.emplace(Engine::load(model, options)); });
    return engine;
  }
  std::optional<Engine> load(int threads = 1) const {
    return load(directory_.path(), {.threads = threads, .weights = DType::kF32});
  }

  static Request request(const SamplingParams& sampling, Mode mode = Mode::kDual,
                         AcceptRule accept = AcceptRule::kMatch) {
    Request r;
    r.prompt = {104, 101, 108, 108, 111, 32, 119, 111};
    r.options.max_tokens = 12;
    r.options.mode = mode;
    r.options.ignore_eos = true;
    r.options.stop = {"never to be seen"};
    r.options.sampling = sampling;
    r.options.accept = accept;
    return r;
  }

  void sweep_loading(const std::filesystem::path& model, const EngineOptions& options) const {
    const Request r = request({.temperature = 0});
    const std::optional<Engine> whole = load(model, options);
    ASSERT_TRUE(whole.has_value());
    const std::vector<int32_t> want = whole->generate(r).output_ids;
    std::optional<Engine> engine;
    const long count = sweep(
        [&] {
          engine = load(model, options);
          return engine.has_value();
        },
        [&](long at) { EXPECT_EQ(engine->generate(r).output_ids, want) << at; });
    EXPECT_GT(count, 200);
  }

  test::TemporaryDirectory directory_;
  mutable std::vector<test::TensorToWrite> shared_, diffusion_;
};

TEST_F(Allocation, ThatFailsInLoadingADirectoryIsAnError) {
  write_directory();
  sweep_loading(directory_.path(), {.threads = 2, .weights = DType::kF32});
}

TEST_F(Allocation, ThatFailsInLoadingGgufIsAnError) {
  write_directory();
  write_gguf(directory_ / "model.gguf");
  sweep_loading(directory_ / "model.gguf",
                {.threads = 2, .draft_weights = DType::kBF16, .kv_cache = DType::kBF16});
}

TEST_F(Allocation, ThatFailsInLoadingHeadsIsAnError) {
  write_directory();
  nlohmann::json config = config_json();
  config["architectures"] = {"Qwen3ForCausalLM"};
  write_config(directory_.path(), config);
  test::write_safetensors(directory_ / "model.safetensors", shared_);
  std::filesystem::remove(directory_ / "model.safetensors.index.json");
  std::filesystem::remove(directory_ / "tokenizer.json");
  test::write_file(
      directory_ / "heads.safetensors",
      test::safetensors_file(diffusion_, {{"block_size", "8"}, {"mask_token_id", "279"}}));
  std::optional<Engine> engine;
  sweep(
      [&] {
        engine = load(directory_.path(), {.threads = 2});
        return engine.has_value();
      },
      [&](long) { EXPECT_TRUE(engine->config().has_diffusion_view()); });
}

TEST_F(Allocation, ThatFailsInMakingUpAModelIsAnError) {
  write_directory();
  ModelConfig config = load_config(directory_.path());
  config.pair_rank = 4;
  sweep([&] { return throws_nothing([&] { Engine::synthetic(config, {.threads = 2}); }); },
        [](long) {});
}

TEST_F(Allocation, ThatFailsInInspectingIsAnError) {
  write_directory();
  write_gguf(directory_ / "model.gguf");
  for (const std::filesystem::path& model : {directory_.path(), directory_ / "model.gguf"}) {
    const int64_t parameters = inspect(model).total.parameters;
    std::optional<CheckpointInfo> info;
    sweep([&] { return throws_nothing([&] { info = inspect(model); }); },
          [&](long) {
            EXPECT_EQ(info->total.parameters, parameters);
            EXPECT_EQ(info->chat_format, ChatFormat::kUnknown);
          });
  }
}

// What is wrong with a file is told, or that memory fails.
TEST_F(Allocation, ThatFailsInRefusingAFileIsAnError) {
  write_directory();
  const std::string file = (directory_ / "config.json").string();
  for (const std::string_view text :
       {R"({"architectures": [["x"]], "layer_types": [{"a": [1]}]})",
        R"({"vocab_size": {"a": [1, {"b": 2}]}, "vocab_size": [[1], {"c": [2]}]})",
        R"({"a": [[1, {"b": [2, {}]}], "c", )", R"([[1, 2], {"a": [3]}])"}) {
    test::write_file(directory_ / "config.json", text);
    std::string message;
    try {
      load_config(directory_.path());
    } catch (const Error& error) {
      message = error.what();
    }
    EXPECT_FALSE(message.empty());
    sweep_error([&] { load_config(directory_.path()); }, message);
  }
}

TEST_F(Allocation, ThatFailsInGeneratingIsAStatusOrAnError) {
  write_directory();
  const std::optional<Engine> engine = load();
  ASSERT_TRUE(engine.has_value());
  const Request requests[] = {
      request({.temperature = 0}, Mode::kAr),
      request({.temperature = 0}),
      request({.temperature = 0.8f, .top_k = 40, .top_p = 0.9f, .min_p = 0.01f}),
      request({.temperature = 0.8f, .seed = 3}, Mode::kDual, AcceptRule::kRejection),
      request({.temperature = 0.8f,
               .repetition_penalty = 1.3f,
               .presence_penalty = 0.5f,
               .frequency_penalty = 0.5f,
               .logit_bias = {{5, 2}, {6, -3}}},
              Mode::kAuto),
  };
  for (const Request& r : requests) {
    const Generation want = engine->generate(r);
    ASSERT_EQ(want.output_ids.size(), 12u);
    const Request both[] = {r, r};
    const long count = sweep(
        [&] {
          std::vector<Generation> got;
          bool well = throws_nothing([&] { got = engine->generate(both); });
          until_failure = kNever;
          for (const Generation& g : got) {
            if (g.status == Status::kOk) {
              EXPECT_EQ(g.output_ids, want.output_ids);
              EXPECT_EQ(g.text, want.text);
            } else {
              EXPECT_EQ(g.status, Status::kOutOfMemory);
              well = false;
            }
          }
          return well;
        },
        [](long) {});
    EXPECT_GT(count, 50);
  }
}

// Whatever failed, the conversation goes on rightly.
TEST_F(Allocation, ThatFailsInASessionLeavesItUsable) {
  write_directory();
  const Request r = request({.temperature = 0});
  const std::vector<int32_t> want = load()->generate(r).output_ids;
  const std::optional<Engine> engine = load(2);  // whose threads have not begun
  ASSERT_TRUE(engine.has_value());
  const auto generates = [&](Session& session, Generation& g) {
    return throws_nothing([&] { g = session.generate(r); }) && g.status == Status::kOk;
  };
  std::optional<Session> session;
  sweep([&] { return throws_nothing([&] { session.emplace(engine->start_session()); }); },
        [](long) {});
  ASSERT_TRUE(session.has_value());
  Generation got, after;
  sweep(
      [&] {
        const bool well = generates(*session, got);
        until_failure = kNever;
        EXPECT_TRUE(generates(*session, after));
        EXPECT_EQ(after.output_ids, want);
        return well;
      },
      [&](long at) { EXPECT_EQ(got.output_ids, want) << at; });
}

// Steps are reported that happened, and none twice.
TEST_F(Allocation, ThatFailsInStreamingLosesNoStep) {
  write_directory();
  const std::optional<Engine> engine = load();
  ASSERT_TRUE(engine.has_value());
  std::vector<int32_t> streamed;
  streamed.reserve(64);
  Request r = request({.temperature = 0});
  r.on_step = [&](const Step& step) {
    streamed.insert(streamed.end(), step.tokens.begin(), step.tokens.end());
    return true;
  };
  const std::vector<int32_t> want = engine->generate(r).output_ids;
  sweep(
      [&] {
        streamed.clear();
        Generation got;
        const bool threw = !throws_nothing([&] { got = engine->generate(r); });
        until_failure = kNever;
        EXPECT_LE(streamed.size(), want.size());
        EXPECT_TRUE(std::equal(streamed.begin(), streamed.end(), want.begin()));
        return !threw && got.status == Status::kOk;
      },
      [&](long) { EXPECT_EQ(streamed, want); });
}

// In the engine's thread nobody is there to catch what is thrown: each request that was taken ends.
TEST_F(Allocation, ThatFailsInAnAsyncEngineIsAStatusOrAnError) {
  write_directory();
  const Request r = request({.temperature = 0});
  const std::vector<int32_t> want = load()->generate(r).output_ids;
  const long count = sweep(
      [&] {
        const long at = until_failure.exchange(kNever);
        AsyncEngine async(load().value());
        std::vector<Generation> got;
        got.reserve(2);
        std::atomic<size_t> ended = 0;
        until_failure = at;
        size_t taken = 0;
        for (int i = 0; i < 2; ++i) {
          taken += throws_nothing([&] {
            async.submit(r, [&got, &ended](Generation generation) {
              got.push_back(std::move(generation));
              ++ended;
              ended.notify_all();
            });
          });
        }
        for (size_t heard = ended; heard < taken; heard = ended) ended.wait(heard);
        until_failure = kNever;
        bool well = taken == 2;
        for (const Generation& g : got) {
          if (g.status == Status::kOk) {
            EXPECT_EQ(g.output_ids, want);
          } else {
            EXPECT_EQ(g.status, Status::kOutOfMemory);
            well = false;
          }
        }
        return well;
      },
      [](long) {});
  EXPECT_GT(count, 50);
}

TEST_F(Allocation, ThatFailsInScoringIsAnError) {
  write_directory();
  const std::optional<Engine> engine = load();
  ASSERT_TRUE(engine.has_value());
  const std::vector<int32_t> tokens(40, 101);
  const std::vector<double> want = engine->score(tokens);
  std::vector<double> got;
  const long count = sweep([&] { return throws_nothing([&] { got = engine->score(tokens); }); },
                           [&](long at) { EXPECT_EQ(got, want) << at; });
  EXPECT_GT(count, 5);
}

// Texts in, ids and messages out.
TEST_F(Allocation, ThatFailsInEncodingIsAnError) {
  write_directory();
  const std::optional<Engine> engine = load();
  ASSERT_TRUE(engine.has_value());
  const std::string text = "hello world, <|im_end|> he hello \xc3\xa9 e\xcc\x81";
  const std::vector<int32_t> want = engine->encode(text);
  std::vector<int32_t> got;
  const long count = sweep([&] { return throws_nothing([&] { got = engine->encode(text); }); },
                           [&](long at) { EXPECT_EQ(got, want) << at; });
  EXPECT_GT(count, 5);
}

TEST_F(Allocation, ThatFailsInRenderingAChatIsAnError) {
  const ChatMessage messages[] = {{"user", "Hi", {}, {}}};
  const ChatOptions options = {.tools = {R"({"type": "function", "of": [1.5, {"a": null}]})"}};
  const auto render = [&] { return render_chat(ChatFormat::kQwen3, messages, options); };
  const std::string want = render();
  std::string got;
  sweep([&] { return throws_nothing([&] { got = render(); }); },
        [&](long at) { EXPECT_EQ(got, want) << at; });
}

}  // namespace
}  // namespace orthrus
