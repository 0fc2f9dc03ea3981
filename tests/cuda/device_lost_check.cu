// A device that fails in mid-decode: a status of every request, of every later call too, and no end
// of the process. A kernel that traps spoils a process's CUDA context for good, so each case is a
// process of its own. For a machine with a device.
//
//   device_lost_check MODELS      (models of the sources)
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <vector>

#include "orthrus/engine.h"
#include "orthrus/error.h"

namespace {

using namespace orthrus;

constexpr int kNoDevice = 77;  // CTest skips

int failures = 0;

void expect(bool holds, const char* what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what);
}

__global__ void trap() {
  asm("trap;");
}

bool spoil() {
  trap<<<1, 1>>>();
  return true;
}

// Where the device fails.
enum class Case { kPrefill, kStep, kCycles, kSession, kScore };

std::vector<Request> requests(Case when) {
  std::vector<Request> requests(2);
  for (Request& r : requests) {
    r.prompt = {100, 200, 300, 400, 500};
    r.options.max_tokens = 200;
    r.options.ignore_eos = true;
    r.options.prefill_chunk = 2;
    r.options.mode = Mode::kDual;
  }
  if (when == Case::kPrefill) {
    requests[1].on_prefill = [](int done, int) { return done == 2 ? spoil() : true; };
    return requests;
  }
  if (when == Case::kStep) {  // the rejection rule runs pass by pass
    for (Request& r : requests) {
      r.options.accept = AcceptRule::kRejection;
      r.options.sampling.temperature = 1;
    }
  }
  requests[1].on_step = [steps = 0](const Step&) mutable { return ++steps == 3 ? spoil() : true; };
  return requests;
}

int run(Case when, const std::filesystem::path& model) {
  if (cuda_devices() == 0) return kNoDevice;
  const auto lost = [](const Generation& g) {
    return g.status == Status::kDeviceLost && g.finish_reason == FinishReason::kFailed;
  };
  const auto refuses = [](const auto& use) {
    try {
      use();
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kSystem;
    }
    return false;
  };
  EngineOptions options;
  options.device = {Device::Kind::kCuda, 0};
  {
    std::optional<Engine> engine(Engine::load(model, options));
    Session session = engine->start_session();
    const std::vector<Request> asked = requests(when);
    if (when == Case::kScore) {
      engine->score(asked[0].prompt);
      spoil();
      expect(refuses([&] { engine->score(asked[0].prompt); }), "score throws no Error(kSystem)");
    } else if (when == Case::kSession) {
      expect(lost(session.generate(asked[1])), "the session's generation has another status");
    } else {
      const std::vector<Generation> got = engine->generate(asked);
      for (const Generation& g : got) expect(lost(g), "a request has another status");
      const bool prefill = when == Case::kPrefill;
      expect(got[1].output_ids.empty() == prefill, "what was generated before is not there");
    }
    for (const Generation& g : engine->generate(asked)) {
      expect(lost(g) && g.output_ids.empty(), "a later request has another status");
    }
    expect(lost(session.generate(asked[0])), "a session's later request has another status");
    expect(refuses([&] { engine->start_session(); }), "a session starts on a lost device");
    engine.reset();
  }  // destructors neither throw nor end the process
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is killed has printed its finds
  if (argc != 2) return 2;
  const std::filesystem::path model = std::filesystem::path(argv[1]) / "tiny-code";
  int failed = 0, checked = 0;
  for (const Case when :
       {Case::kPrefill, Case::kStep, Case::kCycles, Case::kSession, Case::kScore}) {
    const pid_t child = fork();
    if (child == 0) {
      int code = 1;
      try {
        code = run(when, model);
      } catch (const std::exception& error) {
        std::printf("FAILED: %s\n", error.what());
      }
      std::fflush(stdout);
      _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNoDevice) {
      std::printf("no CUDA device\n");
      return kNoDevice;
    }
    ++checked;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
      ++failed;
      std::printf("FAILED: case %d ended with %d\n", static_cast<int>(when), status);
    }
  }
  std::printf("%d ways in which a device fails, %d failures\n", checked, failed);
  return failed == 0 ? 0 : 1;
}
