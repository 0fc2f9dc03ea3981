// Loads a checkpoint and continues a prompt: generate MODEL_DIR PROMPT
#include <orthrus/engine.h>
#include <orthrus/error.h>

#include <cstdio>

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
      return true;  // go on
    };

    const orthrus::Generation result = engine.generate(request);
    std::printf("\n%d tokens, %.2f per forward pass, %.1f per second\n", result.stats.generated,
                result.stats.tokens_per_forward(), result.stats.tokens_per_second());
    return result.status == orthrus::Status::kOk ? 0 : 1;
  } catch (const orthrus::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
