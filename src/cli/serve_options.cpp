#include "cli/serve_options.h"

#include <fmt/core.h>

#include <filesystem>

#include "cli/choices.h"
#include "cli/command_line.h"
#include "cli/text.h"
#include "orthrus/error.h"

namespace orthrus::cli {
namespace {

constexpr const char* kAddress = "Address and access";
constexpr const char* kLimits = "Limits";

// What never comes would be of no use.
std::string check_origin(const std::string& text) {
  if (server::is_cors_origin(text)) return {};
  throw Error(ErrorKind::kUsage,
              fmt::format("--cors-origin is {}; valid is *, null, or as browsers send it "
                          "SCHEME://HOST or SCHEME://HOST:PORT, in lower case and without a path.",
                          in_quotes(text)));
}

}  // namespace

void ServeOptions::add_to(CLI::App& app) {
  model.add_to(app);
  format.add_to(app);
  refuse_empty(app.add_option("--served-model-name", served_model_name,
                              "The model's id, as clients name it; by default the name of its file "
                              "or directory")
                   ->type_name("NAME"));
  add_choice<server::LogLevel>(app, "--log-level", log_level,
                               {{"debug", server::LogLevel::kDebug},
                                {"info", server::LogLevel::kInfo},
                                {"warning", server::LogLevel::kWarning},
                                {"error", server::LogLevel::kError}},
                               "What is logged, on standard error: info has a line for each "
                               "request, debug also for health checks")
      ->default_str("info");

  CLI::Option* const at = app.add_option("--host", host,
                                         "Address or name to listen on: 127.0.0.1 is for this "
                                         "machine, 0.0.0.0 and :: are for everyone")
                              ->type_name("HOST")
                              ->default_str(host)
                              ->group(kAddress);
  refuse_empty(at);
  CLI::Option* const at_port =
      add_whole_number(app, "--port", port, {0, 65535, "a whole number from 0 to 65535"},
                       "Port to listen on; 0 picks a free one")
          ->group(kAddress);
  refuse_empty(app.add_option("--unix-socket", unix_socket,
                              "Listen on a Unix socket of this name, in place of a port")
                   ->type_name("FILE")
                   ->excludes(at)
                   ->excludes(at_port)
                   ->group(kAddress));
  refuse_empty(
      app.add_option("--api-key", api_keys, "Answer only who has this key; again for another")
          ->type_name("KEY")
          ->allow_extra_args(false)
          ->group(kAddress));
  app.add_option("--cors-origin", cors_origins,
                 "Let browsers ask from pages of this origin, or of all: \"*\"; again for another")
      ->type_name("ORIGIN")
      ->allow_extra_args(false)
      ->check(check_origin)
      ->group(kAddress);

  add_whole_number(app, "--max-queue", max_queue,
                   {0, 1'000'000, "a whole number from 0 (any number) to 1000000"},
                   "Most requests that wait beside those that run; further ones get 429")
      ->group(kLimits);
  add_count(app, "--max-batch", max_batch,
            "Most requests that share a forward pass; by default what suits the device", 4096)
      ->default_str("")
      ->group(kLimits);
  add_size(app, "--cache-memory", cache_memory,
           "Memory for keys and values of all requests, as 4GiB; by default what holds the longest "
           "context, and more where there is room")
      ->group(kLimits);
  add_whole_number(app, "--request-timeout", request_timeout,
                   {0, 604800, "a whole number from 0 (none) to 604800"},
                   "Seconds after which a request ends with an error, 504; 0 is none")
      ->group(kLimits);
  add_variables(app, kVariables);
}

EngineOptions ServeOptions::engine_options() const {
  EngineOptions options = model.engine_options();
  options.cache_memory = cache_memory;
  options.max_batch = max_batch;
  return options;
}

server::HttpOptions ServeOptions::http_options() const {
  server::HttpOptions options;
  options.host = host;
  options.port = port;
  options.unix_socket = unix_socket;
  options.access = {.api_keys = api_keys, .cors_origins = cors_origins};
  return options;
}

server::DispatchLimits ServeOptions::limits() const {
  return {.max_queue = max_queue, .timeout = std::chrono::seconds(request_timeout)};
}

std::string ServeOptions::model_id() const {
  if (!served_model_name.empty()) return served_model_name;
  const std::filesystem::path path = std::filesystem::path(model.directory).lexically_normal();
  const std::string name = path.has_filename() ? path.filename() : path.parent_path().filename();
  return name.ends_with(".gguf") ? name.substr(0, name.size() - 5) : name;
}

bool ServeOptions::open_to_others() const {
  return unix_socket.empty() && !host.starts_with("127.") && host != "localhost" && host != "::1" &&
         host != "[::1]";
}

}  // namespace orthrus::cli
