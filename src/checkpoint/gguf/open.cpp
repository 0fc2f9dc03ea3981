// A model's files, of which there may be several.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <utility>

#include "base/counted.h"
#include "checkpoint/gguf/gguf.h"
#include "files/display.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxParts = 1024;  // published models have tens

// How the parts of a model are named, counted from 1: "STEM-00001-of-00003.gguf".
struct Parts {
  std::string stem;
  int count = 0;

  std::string name(int part) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", stem, part, count);
  }
};

std::optional<int> number_in(std::string_view digits) {
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

// Nothing for a name of another form, which is then a model by itself.
std::optional<Parts> parts_of(const std::string& name) {
  constexpr std::string_view kEnd = "-00001-of-00001.gguf";
  if (name.size() <= kEnd.size()) return std::nullopt;
  const size_t at = name.size() - kEnd.size();
  const auto part = number_in(std::string_view(name).substr(at + 1, 5));
  const auto count = number_in(std::string_view(name).substr(at + 10, 5));
  if (!part || !count || *part < 1 || *part > *count) return std::nullopt;
  Parts parts{name.substr(0, at), *count};
  if (parts.name(*part) != name) return std::nullopt;
  return parts;
}

std::vector<std::string> missing_parts(const fs::path& directory, const Parts& parts) {
  std::vector<std::string> missing;
  for (int part = 1; part <= parts.count; ++part) {
    if (!has_entry(directory / parts.name(part))) missing.push_back(parts.name(part));
  }
  return missing;
}

// Of a link, which of the paths that it leads by is to be opened: the first beside which are all
// the parts that it is one of; else the last that is one at all; else itself.
fs::path with_parts(const fs::path& path) {
  std::vector<fs::path> paths = targets_of_link(path);
  if (paths.empty()) return path;
  paths.insert(paths.begin(), path);
  const fs::path* part_of_some = &path;
  for (const fs::path& each : paths) {
    const std::optional<Parts> parts = parts_of(each.filename().string());
    if (!parts) continue;
    if (parts->count <= kMaxParts && missing_parts(each.parent_path(), *parts).empty()) return each;
    part_of_some = &each;
  }
  return *part_of_some;
}

void check_parts_exist(const fs::path& directory, const Parts& parts) {
  if (parts.count > kMaxParts) {
    throw Error(ErrorKind::kFile,
                fmt::format("{}: is one of {} files; there may be {} at most.",
                            shown(directory / parts.name(1)), parts.count, kMaxParts));
  }
  const std::vector<std::string> missing = missing_parts(directory, parts);
  if (missing.empty()) return;
  throw Error(ErrorKind::kFile,
              fmt::format("{}: the model has {}; not there: {}.", shown(directory),
                          counted(parts.count, "file"), list_in_quotes(missing)));
}

// That the file says it is part `part` of `count`, both from 1.
void check_place(const GgufMetadata& metadata, const std::string& file, int part, int count) {
  Problems problems;
  const GgufFields fields(metadata, file, problems);
  const int said_count = fields.integer("split.count", 0, kMaxParts, 1);
  const int said_part = fields.integer("split.no", 0, kMaxParts, 0) + 1;
  if (problems.none() && std::max(said_count, 1) != count) {
    fields.refuse("split.count", count == 1
                                     ? "a model in several files must have names that end in "
                                       "-00001-of-00002.gguf and so on"
                                     : fmt::format("its name says that there are {} files", count));
  } else if (problems.none() && said_part != part) {
    fields.refuse("split.no", fmt::format("its name says that it must be {}", part - 1));
  }
  problems.throw_if_any();
}

void check_tensors(const GgufModel& model) {
  const auto twin = std::ranges::adjacent_find(model.tensors, {}, &Tensor::name);
  if (twin != model.tensors.end()) {
    throw Error(ErrorKind::kFile, fmt::format("{}: tensor {} is in two of the model's files.",
                                              model.name, in_quotes(twin->name)));
  }
  Problems problems;
  const GgufFields fields(model.metadata, model.name, problems);
  constexpr const char* kCount = "split.tensors.count";
  if (!fields.has(kCount)) return;
  const int count = fields.integer(kCount, 0, 1 << 30);
  if (problems.none() && static_cast<size_t>(count) != model.tensors.size()) {
    fields.refuse(
        kCount, fmt::format("the model's files have {}", counted(model.tensors.size(), "tensor")));
  }
  problems.throw_if_any();
}

}  // namespace

std::string gguf_stem(const fs::path& path) {
  const std::optional<Parts> parts = parts_of(path.filename().string());
  return parts ? parts->stem : path.stem().string();
}

GgufModel open_gguf(const fs::path& given) {
  const fs::path path = with_parts(given);
  const std::optional<Parts> parts = parts_of(path.filename().string());
  const int count = parts ? parts->count : 1;
  if (parts) check_parts_exist(path.parent_path(), *parts);
  GgufModel model;
  for (int part = 1; part <= count; ++part) {
    const fs::path file = parts ? path.parent_path() / parts->name(part) : path;
    model.maps.push_back(MappedFile::open(file));
    GgufFile parsed = parse_gguf(model.maps.back().bytes(), shown(file));
    check_place(parsed.metadata, shown(file), part, count);
    std::ranges::move(parsed.tensors, std::back_inserter(model.tensors));
    if (part > 1) continue;
    model.name = shown(file);
    model.metadata = std::move(parsed.metadata);
  }
  std::ranges::sort(model.tensors, {}, &Tensor::name);
  check_tensors(model);
  return model;
}

}  // namespace orthrus
