// What a dashboard is told, under vLLM's names, labels and buckets.
#pragma once

#include <memory>
#include <string>

#include "orthrus/async_engine.h"

namespace orthrus::server {

// Thread-safe.
class Metrics {
 public:
  // `most_drafts`: of a pass.
  Metrics(const std::string& model, int most_drafts);
  ~Metrics();

  void add_prompt(int tokens);  // when it has been read
  void add_step(const Step& step);
  void observe_first_token(double seconds);  // since the request came
  void observe_between_steps(double seconds);
  void add_done(const Generation& generation, double seconds);  // since the request came

  // Prometheus's text, with what the engine says now.
  std::string text(const EngineLoad& load);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace orthrus::server
