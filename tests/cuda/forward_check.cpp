// Forward passes on a CUDA device: the logits of a position are the same bits however its row is
// computed and whatever is computed beside it, in a draft tree too, and close to what the processor
// computes from the same weights in float32. For a machine with a device.
//
//   forward_check DATA MODELS [--few]
//                 [tied|untied|tiny-code|qwen3-0.6b|qwen2.5-coder-0.5b|qwen2-TYPE
//                  [@q8_0|@bf16]]...
//
// DATA and MODELS are tests/data and models of the sources. With no model named it checks them all.
// qwen2-Q4_K is a small Qwen2 with random weights in a GGUF file of that format; qwen2-mixed and
// qwen2-tied-mixed have several formats. @q8_0, @bf16: with such weights. Where a file's integers
// are held as they are the bits are those of the same numbers in BF16.
// --few: seven small passes, for compute-sanitizer, under which a pass takes seconds.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/cpu_model.h"
#include "backends/cuda/cuda_model.h"
#include "backends/cuda/pack_blocks.h"
#include "expect.h"
#include "kernels/formats/format.h"
#include "orthrus/published_shapes.h"
#include "support/bf16_scales.h"
#include "support/fresh_seed.h"
#include "support/gguf_model.h"
#include "support/passes.h"
#include "support/temporary_directory.h"
#include "tree_check.h"

namespace orthrus {
namespace {

constexpr int kNoDevice = 77;  // CTest skips

// How passes are cut: each chunk of so many tokens, in turn.
using Chunks = std::vector<int>;

// Calls visit(position, row) with the logits of all rows of `tokens`, run in chunks. `disturbed`:
// each chunk after wrong tokens in its place, and in its pass another sequence's tokens and a third
// one's block, before it or after.
template <typename Visit>
void each_row(Lane& lane, std::span<const int32_t> tokens, const Chunks& chunks, bool disturbed,
              std::mt19937& random, const Visit& visit) {
  KvSequence sequence(lane.pool()), other(lane.pool()), drafting(lane.pool());
  for (size_t at = 0, i = 0; at < tokens.size(); ++i) {
    const size_t count = std::min<size_t>(chunks[i % chunks.size()], tokens.size() - at);
    const Span chunk{&sequence, tokens.subspan(at, count), View::kAutoregressive, 0,
                     static_cast<int>(count)};
    std::vector<Span> spans = {chunk};
    const std::vector<int32_t> wrong(1 + random() % 40, 7);
    if (disturbed) {
      const Span rejected{&sequence, wrong, View::kAutoregressive, 0, 1};
      expect(sequence.reserve(static_cast<int>(wrong.size())) == Status::kOk, "no pages");
      expect(lane.pass().run(std::span(&rejected, 1)) == Status::kOk, "a pass failed");
      if (other.length() > 200) other.clear();
      const int wrong_rows = static_cast<int>(wrong.size());
      spans.push_back({&other, wrong, View::kAutoregressive, wrong_rows - 1, wrong_rows});
      spans.push_back(
          {&drafting, wrong, View::kDiffusion, 0, wrong_rows, HeadOutput::kChoiceAndProbability});
      std::shuffle(spans.begin(), spans.end(), random);
    }
    run_pass(lane, spans);
    size_t place = 0;
    while (spans[place].sequence != &sequence) ++place;
    const ConstRows got = lane.pass().head_rows(place).logits;
    for (int r = 0; r < got.rows; ++r) {
      visit(at + static_cast<size_t>(r), std::span(got.row(r), static_cast<size_t>(got.cols)));
    }
    at += count;
  }
}

std::vector<Row> rows_in_one_pass(Lane& lane, std::span<const int32_t> tokens) {
  KvSequence sequence(lane.pool());
  const ConstRows got = logits_of(lane, sequence, tokens, View::kAutoregressive);
  std::vector<Row> rows;
  for (int r = 0; r < got.rows; ++r) rows.emplace_back(got.row(r), got.row(r) + got.cols);
  return rows;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Verify blocks of eight sequences in one pass, some of which want logits and some the largest
// only.
void check_mixed(Lane& lane, const std::string& name, std::mt19937& random) {
  constexpr int kSequences = 8, kRows = 16;
  std::vector<std::vector<int32_t>> tokens(kSequences, std::vector<int32_t>(kRows));
  std::vector<KvSequence> sequences;
  std::vector<Span> spans;
  for (int s = 0; s < kSequences; ++s) sequences.emplace_back(lane.pool());
  for (int s = 0; s < kSequences; ++s) {
    for (int32_t& id : tokens[s]) id = static_cast<int32_t>(random() % 200);
    spans.push_back({&sequences[s], tokens[s], View::kAutoregressive, 0, kRows,
                     s < 5 ? HeadOutput::kLogits : HeadOutput::kChoice});
  }
  run_pass(lane, spans);
  std::vector<std::vector<Row>> rows(kSequences);
  std::vector<std::vector<Choice>> tops(kSequences);
  for (int s = 0; s < kSequences; ++s) {
    const HeadRows got = lane.pass().head_rows(static_cast<size_t>(s));
    tops[s].assign(got.choices.begin(), got.choices.end());
    for (int r = 0; r < got.logits.rows; ++r) {
      rows[s].emplace_back(got.logits.row(r), got.logits.row(r) + got.logits.cols);
    }
  }
  for (int s = 0; s < kSequences; ++s) {
    const std::vector<Row> alone = rows_in_one_pass(lane, tokens[s]);
    for (int r = 0; r < kRows; ++r) {
      const auto best = std::max_element(alone[r].begin(), alone[r].end());
      const bool same = s < 5
                            ? same_bits(rows[s][r], alone[r])
                            : tops[s][r].id == best - alone[r].begin() && tops[s][r].logit == *best;
      expect(same, fmt::format("{}: row {} of span {} of a mixed pass", name, r, s));
    }
  }
}

std::vector<int32_t> random_tokens(const DeviceModel& model, int count, std::mt19937& random) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& id : tokens) {
    id = static_cast<int32_t>(random() % static_cast<unsigned>(model.config().vocab_size));
  }
  return tokens;
}

// Against all tokens in one pass.
void check_bits(const DeviceModel& model, const std::string& name, bool few, unsigned seed) {
  std::mt19937 random(seed);
  const auto lane = model.start(64);
  const auto tokens = random_tokens(model, few ? 40 : 300, random);
  const std::vector<Row> want = rows_in_one_pass(*lane, tokens);
  expect(!same_bits(want[0], want[1]), name + ": rows of different tokens are the same");
  if (!few) check_mixed(*lane, name, random);
  std::vector<Chunks> all = {{1}, {2}, {7}, {32}, {33}, {64}, {128}, {129, 1}, {1, 128, 5, 63, 31}};
  if (few) all = {{6, 33, 1}};
  size_t compared = 0, different = 0;
  for (const Chunks& chunks : all) {
    for (const bool disturbed : {false, true}) {
      if (few && !disturbed) continue;
      each_row(*lane, tokens, chunks, disturbed, random,
               [&](size_t position, std::span<const float> row) {
                 ++compared;
                 if (same_bits(row, want[position])) return;
                 ++different;
                 expect(false,
                        fmt::format("{}: row {} in chunks of {}...{}, seed {}", name, position,
                                    chunks[0], disturbed ? ", disturbed" : "", seed));
               });
    }
  }
  fmt::print("{}: {} rows of {} logits compared, {} different\n", name, compared,
             model.config().vocab_size, different);
}

void check_distance(const DeviceModel& model, const std::filesystem::path& file,
                    const std::string& name, unsigned seed) {
  std::mt19937 random(seed);
  const auto tokens = random_tokens(model, 300, random);
  const std::vector<Row> rows = rows_in_one_pass(*model.start(64), tokens);
  const CpuModel on_cpu(CpuWeights(load_config(file), Checkpoint::open(file), file.string(),
                                   CpuOps(4), {.type = DType::kF32}),
                        4);
  const std::vector<Row> reference = rows_in_one_pass(*on_cpu.start(64), tokens);
  // Most rows are far nearer than the tolerance; of random tokens the worst of many may be beyond.
  const double allowed = bf16_tolerance(model.config());
  double worst = 0, squares = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double d = distance(rows[i], reference[i]);
    expect(d < 2 * allowed, fmt::format("{}: row {} is {} away, seed {}", name, i, d, seed));
    worst = std::max(worst, d);
    squares += d * d;
  }
  const double typical = std::sqrt(squares / static_cast<double>(rows.size()));
  expect(typical < allowed / 2, fmt::format("{}: rows are {} away, seed {}", name, typical, seed));
  fmt::print(
      "{}: {} rows {:.4f} from the processor's in float32, at most {:.4f}; allowed {:.4f}, "
      "{:.4f}\n",
      name, rows.size(), typical, worst, allowed / 2, 2 * allowed);
}

// Columns that are whole blocks of every format, seven query heads to a key head, and biases.
ModelConfig small_qwen2(bool tied) {
  ModelConfig config = *published_shape("qwen2.5-coder-0.5b");
  config.vocab_size = 500;
  config.hidden_size = 256;
  config.intermediate_size = 512;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 28;
  config.num_key_value_heads = 4;
  config.max_position_embeddings = 1024;
  config.tie_word_embeddings = tied;
  config.mask_token_id = 499;
  return config;
}

// Rows of a text, and of blocks of the diffusion view behind it.
std::vector<Row> rows_of_views(const DeviceModel& model, std::span<const int32_t> tokens) {
  const auto lane = model.start(64);
  std::vector<Row> rows = rows_in_one_pass(*lane, tokens);
  if (!model.config().has_diffusion_view()) return rows;
  for (const size_t most : {1, 16, 31}) {
    const size_t count = std::min(most, tokens.size());
    KvSequence sequence(lane->pool());
    logits_of(*lane, sequence, tokens, View::kAutoregressive);
    const ConstRows block = logits_of(*lane, sequence, tokens.first(count), View::kDiffusion);
    for (int r = 0; r < block.rows; ++r) rows.emplace_back(block.row(r), block.row(r) + block.cols);
  }
  return rows;
}

// What a device that is asked for `wanted` multiplies with, all in BF16: blocks of which it has a
// form with BF16 scales, and others as the file has them. gate and up have one form for both.
std::vector<test::TensorToWrite> in_bf16(const std::vector<test::TensorToWrite>& tensors,
                                         WeightType wanted) {
  const auto held = [&](DType type, DType other) {
    return std::ranges::any_of(cuda::kBlockForms, [&](cuda::WeightForm form) {
      const bool wanted_form = wanted == WeightType::native() || form == cuda::WeightForm::kQ8;
      return wanted_form && cuda::holds(form, type) && cuda::holds(form, other);
    });
  };
  const auto type_of = [&](const std::string& name) {
    const auto found = std::ranges::find(tensors, name, &test::TensorToWrite::name);
    return found == tensors.end() ? DType::kF32 : found->type;
  };
  std::vector<test::TensorToWrite> all;
  for (const test::TensorToWrite& tensor : tensors) {
    const bool is_embedding = tensor.name == "model.embed_tokens.weight";
    std::string other = tensor.name;  // the one that it shares a matrix with
    for (const auto& [from, to] : {std::pair("gate_proj", "up_proj"), {"up_proj", "gate_proj"}}) {
      if (const size_t at = tensor.name.find(from); at != std::string::npos) {
        other.replace(at, std::string_view(from).size(), to);
      }
    }
    all.push_back(tensor);
    if (tensor.shape.size() != 2 || !held(tensor.type, type_of(other))) continue;
    const Format& format = format_of(tensor.type);
    const auto* const blocks = reinterpret_cast<const std::byte*>(tensor.bytes.data());
    test::TensorToWrite wide{tensor.name, DType::kBF16, tensor.shape, {}};
    for (const double number : test::with_bf16_scales(
             format, blocks, tensor.bytes.size() / static_cast<size_t>(format.block_bytes))) {
      wide.bytes += test::little_endian(to_bf16(test::nearest_bf16(number)).bits);
    }
    if (!is_embedding) {
      all.back() = std::move(wide);
    } else if (type_of("lm_head.weight") == DType::kF32) {  // there is none: the head is tied
      wide.name = "lm_head.weight";
      all.push_back(std::move(wide));
    }
  }
  return all;
}

// Against a file that has the same numbers in BF16.
void check_as_widened(const DeviceModel& model, const std::filesystem::path& file,
                      const std::string& name, unsigned seed) {
  std::mt19937 random(seed);
  const auto widened =
      cuda::load_model(load_config(file), Checkpoint::open(file), file.string(), 0, {});
  for (const int count : {1, 33, 300}) {  // the last as prefills are computed
    const auto tokens = random_tokens(model, count, random);
    const std::vector<Row> rows = rows_of_views(model, tokens),
                           want = rows_of_views(*widened, tokens);
    for (size_t i = 0; i < rows.size(); ++i) {
      expect(same_bits(rows[i], want[i]),
             fmt::format("{}: row {} is not that of widened weights, {} tokens, seed {}", name, i,
                         count, seed));
    }
  }
}

// `rounded`: the numbers are not those of the file. `in_bf16`: a file that has the very numbers, if
// there is one.
void check_file(const std::filesystem::path& file, const std::string& name,
                const WeightTypes& types, bool rounded, const std::filesystem::path& in_bf16,
                bool few, unsigned seed) {
  const auto model =
      cuda::load_model(load_config(file), Checkpoint::open(file), file.string(), 0, {}, types);
  check_bits(*model, name, few, seed);
  check_trees(*model, name, few, seed);
  if (few) return;
  if (!rounded) check_distance(*model, file, name, seed);
  if (!in_bf16.empty()) check_as_widened(*model, in_bf16, name, seed);
}

void check(const std::string& name, const std::filesystem::path& data,
           const std::filesystem::path& models, bool few, unsigned seed) {
  const std::string model = name.substr(0, name.find('@'));
  const bool bf16 = name.ends_with("@bf16"), q8 = name.ends_with("@q8_0");
  WeightTypes types;
  if (bf16) types.type = DType::kBF16;
  if (q8) types.type = DType::kQ8_0;
  if (const auto shape = published_shape(model)) {
    const auto made_up = cuda::random_model(*shape, 0, {}, types);
    check_bits(*made_up, name, few, seed);
    check_trees(*made_up, name, few, seed);
    return;
  }
  const test::TemporaryDirectory own;
  const auto file = own.path() / "model.gguf", other = own.path() / "bf16.gguf";
  const auto check_gguf = [&](const ModelConfig& config,
                              const std::vector<test::TensorToWrite>& tensors, bool rounded) {
    test::gguf_of(config, tensors).write(file);
    const bool held = !bf16 && !rounded;
    const WeightType wanted = types.type.value_or(WeightType::native());
    if (held) test::gguf_of(config, in_bf16(tensors, wanted)).write(other);
    check_file(file, name, types, rounded, held ? other : "", few, seed);
  };
  for (const Format& format : all_formats()) {
    if (model != fmt::format("qwen2-{}", format.name)) continue;
    const bool rounded = q8 && !cuda::holds(cuda::WeightForm::kQ8, format.type);
    check_gguf(small_qwen2(false), test::random_tensors_in(small_qwen2(false), format.type, seed),
               rounded);
    return;
  }
  if (model.ends_with("mixed")) {
    const ModelConfig config = small_qwen2(model == "qwen2-tied-mixed");
    check_gguf(config, test::random_mixed_tensors(config, seed), q8);
    return;
  }
  check_file(model == "tiny-code" ? models / model : data / "golden" / model, name, types, q8, "",
             few, seed);
}

}  // namespace
}  // namespace orthrus

int main(int argc, char** argv) {
  using namespace orthrus;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // a run that is killed has printed its finds
  if (cuda::device_count() == 0) {
    fmt::print("no CUDA device\n");
    return kNoDevice;
  }
  bool few = false;
  std::vector<std::string> names;
  for (int i = 3; i < argc; ++i) {
    if (std::string(argv[i]) == "--few") {
      few = true;
    } else {
      names.emplace_back(argv[i]);
    }
  }
  if (argc < 3) return 2;
  if (names.empty()) {
    names = {"tied", "untied", "tiny-code", "qwen3-0.6b", "qwen2.5-coder-0.5b"};
    for (const Format& format : all_formats()) {
      names.push_back(fmt::format("qwen2-{}", format.name));
      if (format.stores_blocks()) names.push_back(names.back() + "@bf16");
    }
    for (const char* model :
         {"untied", "tiny-code", "qwen3-0.6b", "qwen2.5-coder-0.5b", "qwen2-F32", "qwen2-Q8_0",
          "qwen2-Q5_0", "qwen2-Q4_0", "qwen2-IQ4_NL", "qwen2-mixed"}) {
      names.push_back(std::string(model) + "@q8_0");
    }
    names.insert(names.end(), {"qwen2-mixed", "qwen2-tied-mixed"});
  }
  const unsigned seed = test::fresh_seed();
  try {
    for (const std::string& name : names) check(name, argv[1], argv[2], few, seed);
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
