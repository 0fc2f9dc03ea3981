// What `orthrus serve` is told.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/chat_format.h"
#include "cli/options.h"
#include "server/dispatch.h"
#include "server/http/http_server.h"
#include "server/log.h"

namespace orthrus::cli {

inline constexpr const char* kVariables = "ORTHRUS";  // of the environment: what they begin with

struct ServeOptions {
  ModelOptions model;
  ChatFormatOption format;
  std::string served_model_name;

  std::string host = "127.0.0.1";
  int port = 8000;
  std::string unix_socket;
  std::vector<std::string> api_keys;
  std::vector<std::string> cors_origins;

  int max_queue = 1024;
  int max_batch = 0;
  uint64_t cache_memory = 0;
  int request_timeout = 0;  // seconds
  server::LogLevel log_level = server::LogLevel::kInfo;

  // Each option is also a variable of the environment, ORTHRUS_PORT for --port.
  void add_to(CLI::App& app);

  EngineOptions engine_options() const;
  server::HttpOptions http_options() const;
  server::DispatchLimits limits() const;
  std::string model_id() const;  // as given, else the name of the file or directory
  bool open_to_others() const;   // listens on more than this machine
};

}  // namespace orthrus::cli
