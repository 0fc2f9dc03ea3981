// orthrus serve: answers requests over HTTP.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/running.h"
#include "cli/serve_options.h"
#include "cli/shutdown_signals.h"
#include "cli/text.h"
#include "cli/version.h"
#include "orthrus/dtype.h"
#include "server/server.h"

namespace orthrus::cli {
namespace {

using server::LogLevel;

constexpr const char* kExamples = R"(EXAMPLES
  orthrus serve -m models/tiny-code
  orthrus serve -m model.gguf --heads heads.gguf --port 8080 --api-key secret
  orthrus serve -m model.gguf --unix-socket /run/orthrus/socket
  curl http://127.0.0.1:8000/v1/chat/completions -d '{"messages": [{"role": "user", "content": "Hi"}]}'

Serves OpenAI's and Anthropic's APIs below /v1, and a page to chat at /. Every option is also a variable
of the environment, ORTHRUS_PORT for --port; of --api-key and --cors-origin, commas separate
several. Ctrl-C and SIGTERM end it when what runs is done; a second one ends that, too.)";

// The system's limit of open files, and so of connections, as far as it may be raised.
size_t most_connections() {
  constexpr rlim_t kMost = 4096;
  constexpr rlim_t kOthers = 64;  // files that are not connections
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return kMost;
  const rlim_t wanted = std::min(files.rlim_max, kMost + kOthers);
  if (files.rlim_cur < wanted) {
    files.rlim_cur = wanted;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
  }
  return std::clamp(files.rlim_cur, kOthers + 16, kMost + kOthers) - kOthers;
}

// A signal came while the model was loaded.
struct Interrupted {
  int signal;
};

class ServeCommand {
 public:
  explicit ServeCommand(const ServeOptions& options) : options_(options) {}

  // `unknown`: what is to be told of variables of the environment.
  int run(const std::vector<std::string>& unknown) {
    for (const std::string& problem : unknown) log_.write(LogLevel::kWarning, problem);
    try {
      ModelFiles files = open();
      if (const auto warning = options_.format.warning(files.tokenizer())) {
        log_.write(LogLevel::kWarning, *warning);
      }
      // Listens before it loads: a port that is in use is told at once, and health checks are
      // answered meanwhile.
      server::Server server(http_options(), version_number());
      if (options_.open_to_others() && options_.api_keys.empty()) {
        log_.write(LogLevel::kWarning,
                   "whoever reaches this machine may use the model: --api-key sets a key");
      }
      log_.write(LogLevel::kInfo,
                 fmt::format("loading {} on {}", without_controls(options_.model.directory),
                             name_of(options_.model.device)));
      server::ServerInfo info = info_of(files.config());
      server.start(load_engine(std::move(files)), std::move(info), options_.limits());
      tell(server.dispatcher());
      const std::string address = fmt::format("{}", fmt::join(server.addresses(), ", "));
      log_.write(LogLevel::kInfo, fmt::format("serving at {}", without_controls(address)));
      serve(server);
    } catch (const Interrupted& interrupted) {
      return 128 + interrupted.signal;
    }
    log_.write(LogLevel::kInfo, "ended");
    return kSuccess;
  }

 private:
  ModelFiles open() {
    EngineOptions options = options_.engine_options();
    options.on_load = [this, progress = loading_progress()](LoadStage stage, size_t done,
                                                            size_t total) {
      progress(stage, done, total);
      if (const int signal = signals_.take(std::chrono::milliseconds(0))) {
        throw Interrupted{signal};
      }
    };
    return open_model(options_.model.directory, options);
  }

  server::HttpOptions http_options() {
    server::HttpOptions options = options_.http_options();
    options.limits.connections = most_connections();
    options.on_answered = [this](const server::HttpRecord& record) { log_.write(record); };
    return options;
  }

  server::ServerInfo info_of(const ModelConfig& config) const {
    server::ServerInfo info;
    info.model = options_.model_id();
    info.version = version_number();
    info.started = std::time(nullptr);
    info.chat_format = options_.format.forced ? *options_.format.forced
                                              : detect_chat_format(options_.model.directory);
    info.defaults.sampling = config.generation;
    info.defaults.stop = config.stop_strings;
    info.context_length = config.max_position_embeddings;
    return info;
  }

  void tell(const server::Dispatcher& dispatcher) {
    const server::ServerInfo& info = dispatcher.info();
    const Engine& engine = dispatcher.engine();
    const int block_size = engine.config().block_size;
    log_.write(
        LogLevel::kInfo,
        fmt::format("model {}: {} on {}, {}, context {}, chat format {}", in_quotes(info.model),
                    weights_in_words(engine), name_of(engine.device()),
                    block_size > 0 ? fmt::format("blocks of up to {} tokens", block_size)
                                   : "no diffusion view",
                    with_commas(engine.config().max_position_embeddings),
                    name_of(info.chat_format)));
    if (info.cache_limits_context) {
      log_.write(LogLevel::kWarning,
                 fmt::format("the cache holds less than the model's context: requests may have {} "
                             "tokens; --cache-memory gives more",
                             with_commas(info.context_length)));
    }
    log_.write(LogLevel::kInfo,
               fmt::format("cache {}, {} tokens of all requests", name_of(engine.kv_cache()),
                           with_commas(dispatcher.load().cache_pages * server::kCachePageTokens)));
    const SamplingParams& sampling = info.defaults.sampling;
    log_.write(LogLevel::kInfo,
               sampling.greedy()
                   ? "requests that say nothing else are greedy"
                   : fmt::format("requests that say nothing else have the checkpoint's temperature "
                                 "{}, top_k {}, top_p {}, min_p {}, repetition_penalty {}",
                                 sampling.temperature, sampling.top_k, sampling.top_p,
                                 sampling.min_p, sampling.repetition_penalty));
  }

  // Until a signal comes, and what runs is done; a second one ends that. A third, the process.
  void serve(server::Server& server) {
    constexpr std::chrono::milliseconds kPatience{50};
    int signals = 0;
    while (signals == 0 || !server.idle()) {
      const int signal = signals_.take(kPatience);
      if (signal == 0) continue;
      switch (++signals) {
        case 1:
          log_.write(LogLevel::kInfo, "finishing what runs, and taking nothing new");
          server.drain();
          break;
        case 2:
          log_.write(LogLevel::kInfo, "ending what runs");
          server.cancel_all();
          break;
        default:
          throw Interrupted{signal};
      }
    }
  }

  const ServeOptions& options_;
  // Before all that makes threads.
  const ShutdownSignals signals_;
  server::Log log_{options_.log_level};
};

}  // namespace

Command add_serve(CLI::App& root) {
  const auto options = std::make_shared<ServeOptions>();
  CLI::App& app = *root.add_subcommand("serve", "Answer requests over HTTP");
  options->add_to(app);
  app.footer(kExamples);
  return {&app, [options, &app] {
            return ServeCommand(*options).run(unknown_variables(app, kVariables));
          }};
}

}  // namespace orthrus::cli
