#include "checkpoint/huggingface/quantization_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "checkpoint/limits.h"
#include "files/display.h"
#include "files/json_document.h"

namespace orthrus {
namespace {

using nlohmann::json;
using Method = Quantization::Method;

constexpr const char* kField = "quantization_config";

// "\"a\", \"b\" and \"c\""
std::string in_words(std::initializer_list<const char*> texts) {
  std::string words;
  for (const char* const* text = texts.begin(); text != texts.end(); ++text) {
    if (text != texts.begin()) words += text + 1 == texts.end() ? " and " : ", ";
    words += in_quotes(*text);
  }
  return words;
}

// The place among `texts` of a field that must be one of them; `fallback` where it is absent.
size_t choice(const JsonFields& fields, std::string_view key,
              std::initializer_list<const char*> texts, size_t fallback = 0) {
  const json* const value = fields.find(key);
  if (value == nullptr) return fallback;
  const auto found =
      std::ranges::find_if(texts, [&](const char* text) { return is_text(*value, text); });
  if (found != texts.end()) return static_cast<size_t>(found - texts.begin());
  fields.refuse(key,
                fmt::format("supported {} {}", texts.size() == 1 ? "is" : "are", in_words(texts)),
                ErrorKind::kUnsupported);
  return fallback;
}

// A field that would make the numbers others than they are read as.
void refuse_unless_empty(const JsonFields& fields, std::string_view key) {
  const json* const value = fields.find(key);
  if (value == nullptr || *value == false || (value->is_structured() && value->empty())) return;
  fields.refuse(key, "the field is not supported", ErrorKind::kUnsupported);
}

int bits(const JsonFields& fields, const char* key, std::initializer_list<int> supported) {
  const json* const value = fields.find(key);
  for (const int number : supported) {
    if (value != nullptr && *value == number) return number;
  }
  fields.refuse(
      key,
      fmt::format("supported {} {}", supported.size() == 1 ? "is" : "are",
                  fmt::join(supported, " and ")),
      value != nullptr && value->is_number() ? ErrorKind::kUnsupported : ErrorKind::kFile);
  return *supported.begin();
}

// Columns that share a scale: -1, or 0 here, is a whole row.
int group_columns(const JsonFields& fields) {
  const int columns = fields.integer("group_size", -1, limits::kIntermediate, 128);
  if (columns == 0) fields.refuse("group_size", "it must be -1 or above 0");
  return std::max(columns, 0);
}

std::string group_size(int columns) {
  return fmt::format("group_size {}", columns == 0 ? -1 : columns);
}

class QuantizationReader {
 public:
  QuantizationReader(const json& object, std::string file, Problems& problems)
      : object_(object),
        problems_(problems),
        fields_(object, file, fmt::format("{}.", kField), problems) {
    read_.file = std::move(file);
  }

  Quantization read() {
    const json* const method = fields_.find("quant_method");
    const auto is = [&](const char* name) { return method != nullptr && is_text(*method, name); };
    if (is("fp8")) {
      read_fp8();
    } else if (is("awq")) {
      read_awq();
    } else if (is("gptq")) {
      read_gptq();
    } else if (is("compressed-tensors")) {
      read_compressed_tensors();
    } else {
      fields_.refuse("quant_method",
                     fmt::format("supported are {}; a GGUF file of the model is, too, and its "
                                 "original in 16 bits",
                                 in_words({"fp8", "awq", "gptq", "compressed-tensors"})),
                     ErrorKind::kUnsupported);
    }
    return std::move(read_);
  }

 private:
  // Scales of activations, static or not, are not looked at: activations are not rounded to FP8.
  void read_fp8() {
    read_.method = Method::kFp8;
    choice(fields_, "fmt", {"e4m3"});
    if (object_.contains("weight_block_size") && fields_.find("weight_block_size") == nullptr) {
      const std::string said = fmt::format("{}.weight_block_size is null", kField);
      read_.schemes = {{true, 8, true, 0, 0, said}, {true, 8, true, 1, 0, said}};
    } else {
      add_blocks(fields_, kField, "weight_block_size");
    }
  }

  // `at`: the object that they are of.
  void add_blocks(const JsonFields& fields, std::string_view at, const char* key) {
    QuantizationScheme scheme{true, 8, true, 128, 128};
    if (const json* const sizes = fields.find(key)) {
      const auto is_size = [](const json& size) {
        return size.is_number_integer() && size > 0 && size <= limits::kIntermediate;
      };
      if (sizes->is_array() && sizes->size() == 2 && std::ranges::all_of(*sizes, is_size)) {
        scheme.scale_rows = sizes->front().get<int>();
        scheme.scale_columns = sizes->back().get<int>();
      } else {
        fields.refuse(key, fmt::format("it must be a list of two integers from 1 to {}",
                                       +limits::kIntermediate));
      }
    }
    scheme.fields =
        fmt::format("{}.{} is [{}, {}]", at, key, scheme.scale_rows, scheme.scale_columns);
    read_.schemes.push_back(std::move(scheme));
  }

  // `fields`: what they have beside their number of bits.
  void add_integers(std::string_view at, std::string_view of_bits, int of_integer, bool symmetric,
                    int columns, std::string_view fields) {
    read_.schemes.push_back({false, of_integer, symmetric, 1, columns,
                             fmt::format("{} has {} {}, {}", at, of_bits, of_integer, fields)});
  }

  void read_awq() {
    read_.method = Method::kAwq;
    bits(fields_, "bits", {4});
    choice(fields_, "version", {"gemm", "GEMM"});
    choice(fields_, "backend", {"autoawq"});
    if (!fields_.boolean("zero_point", true)) {
      fields_.refuse("zero_point", "supported is true", ErrorKind::kUnsupported);
    }
    const int columns = group_columns(fields_);
    add_integers(kField, "bits", 4, false, columns, group_size(columns));
  }

  void read_gptq() {
    read_.method = Method::kGptq;
    const int of_integer = bits(fields_, "bits", {4, 8});
    // Older files have the one, newer ones the other, or both.
    const size_t of_checkpoint = choice(fields_, "checkpoint_format", {"gptq", "gptq_v2"});
    const size_t format = choice(fields_, "format", {"gptq", "gptq_v2"}, of_checkpoint);
    if (format != of_checkpoint && fields_.find("checkpoint_format") != nullptr) {
      fields_.refuse("format", fmt::format("it must be what checkpoint_format is, {}",
                                           shown(*fields_.find("checkpoint_format"))));
    }
    read_.zeros_less_one = format == 0;
    choice(fields_, "pack_dtype", {"int32"});
    refuse_unless_empty(fields_, "is_marlin_format");
    refuse_unless_empty(fields_, "dynamic");
    read_.columns_in_order = !fields_.boolean("desc_act", false);
    const bool symmetric = fields_.boolean("sym", true);
    const int columns = group_columns(fields_);
    add_integers(kField, "bits", of_integer, symmetric, columns, group_size(columns));
  }

  void read_compressed_tensors() {
    read_.method = Method::kCompressedTensors;
    read_.columns_in_order = false;  // or not: a scheme says it
    choice(fields_, "quantization_status", {"compressed"});
    const std::optional<size_t> format = read_format(fields_);
    refuse_sparsity();
    refuse_unless_empty(fields_, "transform_config");
    const json* const groups = fields_.find("config_groups");
    if (groups == nullptr || !groups->is_object() || groups->empty()) {
      fields_.refuse("config_groups", "it must be an object that has a group at least");
      return;
    }
    for (const auto& [name, group] : groups->items()) {
      const std::string at = fmt::format("{}.config_groups.{}.", kField, printable(name));
      if (!group.is_object()) {
        problems_.add(ErrorKind::kFile,
                      fmt::format("{}: {} is {}; it must be an object.", read_.file,
                                  at.substr(0, at.size() - 1), shown(group)));
        continue;
      }
      read_group(JsonFields(group, read_.file, at, problems_), at, format);
    }
  }

  // How a group's matrices are stored, where `fields` say it.
  static std::optional<size_t> read_format(const JsonFields& fields) {
    const size_t format =
        choice(fields, "format", {"pack-quantized", "float-quantized", "mixed-precision"});
    return fields.find("format") == nullptr ? std::nullopt : std::optional(format);
  }

  void refuse_sparsity() {
    const json* const sparsity = fields_.find("sparsity_config");
    if (sparsity == nullptr || (sparsity->is_object() && sparsity->empty())) return;
    if (!sparsity->is_object()) {
      fields_.refuse("sparsity_config", "it must be an object or null");
      return;
    }
    choice(JsonFields(*sparsity, read_.file, fmt::format("{}.sparsity_config.", kField), problems_),
           "format", {"dense"});
  }

  void read_group(const JsonFields& group, const std::string& at,
                  std::optional<size_t> format_of_all) {
    const std::optional<size_t> format = read_format(group);
    for (const char* key : {"input_activations", "output_activations"}) {
      const json* const activations = group.find(key);
      if (activations == nullptr) continue;
      if (!activations->is_object()) {
        group.refuse(key, "it must be an object or null");
        continue;
      }
      const JsonFields of(*activations, read_.file, fmt::format("{}{}.", at, key), problems_);
      if (of.find("type") == nullptr) {  // integers, then
        of.refuse("type", "supported is \"float\"", ErrorKind::kUnsupported);
      }
      choice(of, "type", {"float"});
    }
    const json* const weights = group.find("weights");
    if (weights == nullptr || !weights->is_object()) {
      group.refuse("weights", "it must be an object");
      return;
    }
    const size_t schemes = read_.schemes.size();
    read_weights(JsonFields(*weights, read_.file, at + "weights.", problems_), at + "weights");
    if (read_.schemes.size() == schemes) return;  // and it is told why
    const bool is_float = read_.schemes.back().is_float;
    const size_t other = is_float ? 0 : 1;
    if (format.value_or(format_of_all.value_or(2)) != other) return;
    (format ? group : fields_)
        .refuse("format", fmt::format("{}weights.type is \"{}\", so it must be \"{}\"", at,
                                      is_float ? "float" : "int",
                                      is_float ? "float-quantized" : "pack-quantized"));
  }

  void read_weights(const JsonFields& weights, const std::string& at) {
    const bool is_float = choice(weights, "type", {"int", "float"}) == 1;
    const bool symmetric = weights.boolean("symmetric", true);
    if (!is_float) {
      const int of_integer = bits(weights, "num_bits", {4, 8});
      const bool has_groups = choice(weights, "strategy", {"group", "channel"}) == 0;
      const int columns = has_groups ? group_columns(weights) : 0;
      const bool by_activation = is_by_activation(weights);
      add_integers(at, "num_bits", of_integer, symmetric, columns,
                   fmt::format("{}, symmetric {}{}",
                               has_groups ? group_size(columns) : "strategy \"channel\"", symmetric,
                               by_activation ? ", actorder \"group\"" : ""));
      read_.schemes.back().by_activation = by_activation && columns > 0;
      return;
    }
    bits(weights, "num_bits", {8});
    if (!symmetric) weights.refuse("symmetric", "supported is true", ErrorKind::kUnsupported);
    switch (choice(weights, "strategy", {"tensor", "channel", "block"})) {
      case 0:
        return read_.schemes.push_back({true, 8, true, 0, 0, at + ".strategy is \"tensor\""});
      case 1:
        return read_.schemes.push_back({true, 8, true, 1, 0, at + ".strategy is \"channel\""});
      default:
        return add_blocks(weights, at, "block_structure");
    }
  }

  // Whether columns share scales out of order: "dynamic" is another name of "group", which true
  // meant once; "static" is another one of "weight".
  static bool is_by_activation(const JsonFields& weights) {
    const json* const order = weights.find("actorder");
    if (order != nullptr && order->is_boolean()) return order->get<bool>();
    return choice(weights, "actorder", {"weight", "static", "group", "dynamic"}) >= 2;
  }

  const json& object_;
  Problems& problems_;
  JsonFields fields_;
  Quantization read_;
};

}  // namespace

std::optional<Quantization> read_quantization(const json& config, const std::string& file,
                                              Problems& problems) {
  const JsonFields fields(config, file, "", problems);
  const json* const object = fields.find(kField);
  if (object == nullptr) return std::nullopt;
  if (!object->is_object()) {
    fields.refuse(kField, "it must be an object");
    return std::nullopt;
  }
  return QuantizationReader(*object, file, problems).read();
}

}  // namespace orthrus
