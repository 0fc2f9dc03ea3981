// Loads a checkpoint and continues a prompt: generate MODEL_DIR PROMPT
#include <orthrus/engine.h>
#include <orthrus/error.h>

#include <cstdio>
#include <new>
#include <string>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL_DIR PROMPT\n", argv[0]);
    return 2;
  }
  try {
    const orthrus::Engine engine = orthrus::Engine::load(argv[1]);

    orthrus::Request request;
    request.prompt = engine.encode(argv[2]);
    request.options.max_tokens = 64;
    request.on_step = [](const orthrus::Step& step) {  // text, as each pass makes it certain
      std::fwrite(step.text.data(), 1, step.text.size(), stdout);
      return std::fflush(stdout) == 0;  // go on, unless the reader has gone
    };

    const orthrus::Generation result = engine.generate(request);
    if (result.status != orthrus::Status::kOk) {  // decoding reports by status, and throws nothing
      std::fprintf(stderr, "\n%s\n", std::string(describe(result.status)).c_str());
      return 1;
    }
    std::printf("\n%d tokens, %.2f per forward pass, %.1f per second\n", result.stats.generated,
                result.stats.tokens_per_forward(), result.stats.tokens_per_second());
  } catch (const orthrus::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "There is not enough memory.\n");
    return 1;
  }
}
