// The golden cases: what the official implementation computed, in float32, from the tiny random
// checkpoints in tests/data/golden (tests/data/README.md).
#pragma once

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "checkpoint/huggingface/safetensors.h"
#include "files/files.h"
#include "orthrus/config.h"

namespace orthrus {

struct Logits {
  int rows = 0;
  int cols = 0;
  std::vector<float> values;  // [rows][cols]

  const float* row(int i) const { return values.data() + static_cast<size_t>(i) * cols; }
};

struct GoldenCase {
  std::vector<int32_t> prompt;
  std::vector<int32_t> proposed;  // the anchor, then the diffusion view's greedy drafts
  std::vector<int32_t> verify_argmax;
  std::vector<int32_t> generate_dual;  // prompt and continuation
  std::vector<int32_t> generate_ar;
  Logits prefill, diffusion, verify;
};

struct Golden {
  std::filesystem::path directory;
  std::vector<GoldenCase> cases;
};

inline Golden load_golden(const std::string& name) {
  Golden golden{std::filesystem::path(ORTHRUS_TEST_DATA) / "golden" / name, {}};
  std::ifstream file(golden.directory / "expected.json");
  const auto json = nlohmann::json::parse(file);
  const MappedFile map = MappedFile::open(golden.directory / "expected.safetensors");
  const std::vector<Tensor> tensors =
      as_tensors(parse_safetensors(map.bytes(), "expected.safetensors").tensors);
  const auto logits = [&](const std::string& key) {
    for (const Tensor& t : tensors) {
      if (t.name != key) continue;
      Logits l{static_cast<int>(t.shape.at(0)), static_cast<int>(t.shape.at(1)), {}};
      l.values.resize(t.bytes / sizeof(float));
      std::memcpy(l.values.data(), t.data, t.bytes);
      return l;
    }
    throw std::runtime_error("no golden tensor " + key);
  };
  for (size_t i = 0; i < json.size(); ++i) {
    const auto ids = [&](const char* key) { return json[i].at(key).get<std::vector<int32_t>>(); };
    const std::string at = "case" + std::to_string(i) + ".";
    golden.cases.push_back({ids("prompt"), ids("proposed"), ids("verify_argmax"),
                            ids("generate_dual"), ids("generate_ar"), logits(at + "prefill_logits"),
                            logits(at + "diffusion_logits"), logits(at + "verify_logits")});
  }
  return golden;
}

}  // namespace orthrus
