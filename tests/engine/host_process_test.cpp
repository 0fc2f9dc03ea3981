// What a host process may do to the library: fork, call it from small stacks, have no more threads.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "orthrus/async_engine.h"
#include "orthrus/engine.h"
#include "orthrus/error.h"
#include "support/no_threads.h"
#include "support/random_checkpoint.h"
#include "support/temporary_directory.h"

namespace orthrus {
namespace {

Request request(int prompt = 12, const std::optional<Mode>& mode = {}) {
  Request r;
  for (int i = 0; i < prompt; ++i) r.prompt.push_back(1 + i % 40);
  r.options.max_tokens = 20;
  r.options.mode = mode;
  return r;
}

// On a machine of any size.
constexpr int kThreads = 3;

struct Loaded {
  Loaded() {
    write_random_checkpoint(directory.path(), small_config_json(), DType::kF32);
    engine = std::make_unique<Engine>(Engine::load(directory.path(), {.threads = kThreads}));
    ids = engine->generate(request()).output_ids;
  }
  test::TemporaryDirectory directory;
  std::unique_ptr<Engine> engine;
  std::vector<int32_t> ids;
};

[[noreturn]] void generate_in_child(Loaded& loaded, Session& session) {
  alarm(60);
  bool right = loaded.engine->generate(request()).output_ids == loaded.ids &&
               session.generate(request()).output_ids == loaded.ids;
  const Request both[] = {request(12, Mode::kAr), request(12, Mode::kDual)};
  for (const Generation& g : loaded.engine->generate(both))
    right = right && g.output_ids == loaded.ids;
  const Engine more = Engine::load(loaded.directory.path(), {.threads = 2});
  right = right && more.generate(request()).output_ids == loaded.ids;
  loaded.engine.reset();
  std::_Exit(right ? 0 : 1);
}

TEST(HostProcessDeathTest, GeneratesAfterAForkInChildAndParent) {
  Loaded loaded;
  Session session = loaded.engine->start_session();
  EXPECT_EQ(session.generate(request()).output_ids, loaded.ids);
  EXPECT_EXIT(generate_in_child(loaded, session), testing::ExitedWithCode(0), "");
  EXPECT_EQ(loaded.engine->generate(request()).output_ids, loaded.ids);
  EXPECT_EQ(session.generate(request()).output_ids, loaded.ids);
}

// The child has no crew, and cannot make one: a status, since decoding throws nothing.
[[noreturn]] void generate_without_threads(const Engine& engine) {
  test::allow_no_threads();
  const Generation g = engine.generate(request());
  std::_Exit(g.status == Status::kNoThreads && g.finish_reason == FinishReason::kFailed &&
                     g.output_ids.empty()
                 ? 0
                 : 1);
}

[[noreturn]] void load_without_threads(const std::filesystem::path& model) {
  const int directory = chmod(model.c_str(), 0755);
  test::allow_no_threads();
  if (directory != 0) std::_Exit(12);
  try {
    Engine::load(model, {.threads = 64});
    std::_Exit(1);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::_Exit(error.kind() == ErrorKind::kSystem ? 0 : 2);
  }
}

[[noreturn]] void begin_async_without_threads(Engine& engine) {
  test::allow_no_threads();
  try {
    const AsyncEngine async(std::move(engine));
    std::_Exit(1);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::_Exit(error.kind() == ErrorKind::kSystem ? 0 : 2);
  }
}

TEST(HostProcessDeathTest, ThreadsThatCannotBeMadeAreAnErrorOrAStatus) {
  const Loaded loaded;
  EXPECT_EXIT(begin_async_without_threads(*loaded.engine), testing::ExitedWithCode(0),
              "A thread for the engine could not be made: ");
  EXPECT_EXIT(generate_without_threads(*loaded.engine), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(load_without_threads(loaded.directory.path()), testing::ExitedWithCode(0),
              "Of 64 threads only 1 could be made: .*--threads");
}

// Sanitizers make frames larger.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStack = size_t{512} << 10;
#else
constexpr size_t kStack = size_t{64} << 10;  // less than engine.h promises to need
#endif

template <typename Work>
void on_small_stack(const Work& work) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, kStack), 0);
  pthread_t thread;
  const auto begin = [](void* argument) -> void* {
    (*static_cast<const Work*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, begin, const_cast<Work*>(&work)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(HostProcess, GeneratesOnAThreadWithASmallStack) {
  const std::filesystem::path tiny_code = std::filesystem::path(ORTHRUS_MODELS) / "tiny-code";
  for (const int threads : {1, 2}) {
    std::optional<Engine> engine;
    on_small_stack([&] { engine.emplace(Engine::load(tiny_code, {.threads = threads})); });
    Request r;
    r.prompt = engine->encode("def add(a, b):\n    ");
    r.options.max_tokens = 20;
    for (const float temperature : {0.0f, 0.8f}) {
      for (const AcceptRule accept : {AcceptRule::kMatch, AcceptRule::kRejection}) {
        r.options.mode = Mode::kDual;
        r.options.accept = accept;
        r.options.sampling = {.temperature = temperature, .top_p = 0.9f};
        const Generation want = engine->generate(r);
        Generation got;
        std::vector<int32_t> prompt;
        on_small_stack([&] {
          prompt = engine->encode("def add(a, b):\n    ");
          got = engine->generate(r);
          EXPECT_EQ(engine->start_session().generate(r).output_ids, got.output_ids);
          engine->score(r.prompt);
        });
        EXPECT_EQ(prompt, r.prompt);
        EXPECT_EQ(got.output_ids, want.output_ids);
        EXPECT_EQ(got.text, want.text);
      }
    }
  }
}

// Memory of attention is as large as heads are.
TEST(HostProcess, GeneratesWithWideHeadsOnAThreadWithASmallStack) {
  const test::TemporaryDirectory directory;
  auto config = small_config_json();
  config["head_dim"] = 1024;
  write_random_checkpoint(directory.path(), config, DType::kF32);
  const Engine engine = Engine::load(directory.path(), {.threads = 2});
  const Request r = request(100, Mode::kDual);
  const Generation want = engine.generate(r);
  Generation got;
  on_small_stack([&] { got = engine.generate(r); });
  EXPECT_EQ(got.output_ids.size(), 20u);
  EXPECT_EQ(got.output_ids, want.output_ids);
}

}  // namespace
}  // namespace orthrus
