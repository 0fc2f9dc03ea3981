#include "checkpoint/huggingface/safetensors_header.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "files/display.h"
#include "files/json_document.h"
#include "orthrus/error.h"

namespace orthrus {
namespace {

using nlohmann::json;

constexpr size_t kMaxDimensions = 8;
constexpr std::string_view kMetadataKey = "__metadata__";

// The tensor that is being read, as far as its fields have come.
struct Entry {
  std::string name;
  std::optional<std::string> type;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::vector<uint64_t>> offsets;
};

// Reads the header as its parser goes through it: whatever it holds, nothing is stored that is not
// a tensor's or a string of the metadata, and nothing nests deeper than a tensor's shape.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kHeader;
    } else if (place_ != Place::kHeader) {
      refuse("an object");
    } else if (key_ == kMetadataKey) {
      if (std::exchange(has_metadata_, true)) fail("__metadata__ is there twice");
      place_ = Place::kMetadata;
    } else {
      entry_ = Entry{.name = key_, .type = {}, .shape = {}, .offsets = {}};
      place_ = Place::kTensor;
    }
    return true;
  }

  bool key(std::string& key) override {
    key_ = key;
    if (place_ != Place::kTensor) return true;
    bool is_repeated = false;
    if (key == "dtype") {
      is_repeated = entry_.type.has_value();
    } else if (key == "shape") {
      is_repeated = entry_.shape.has_value();
    } else if (key == "data_offsets") {
      is_repeated = entry_.offsets.has_value();
    } else {
      fail(fmt::format("tensor {} has a field {}; there may be dtype, shape and data_offsets only",
                       in_quotes(entry_.name), in_quotes(key)));
    }
    if (is_repeated) fail(fmt::format("tensor {} has {} twice", in_quotes(entry_.name), key));
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      require(entry_.type.has_value(), "dtype");
      require(entry_.shape.has_value(), "shape");
      require(entry_.offsets.has_value(), "data_offsets");
      header_.entries.push_back({std::move(entry_.name), std::move(*entry_.type),
                                 std::move(*entry_.shape), entry_.offsets->front(),
                                 entry_.offsets->back()});
    }
    place_ = Place::kHeader;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ == Place::kTensor && key_ == "shape") {
      entry_.shape.emplace();
      place_ = Place::kShape;
    } else if (place_ == Place::kTensor && key_ == "data_offsets") {
      entry_.offsets.emplace();
      place_ = Place::kOffsets;
    } else {
      refuse("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && entry_.offsets->size() != 2) {
      refuse("too few numbers");
    }
    place_ = Place::kTensor;
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kTensor && key_ == "dtype") {
      entry_.type = std::move(value);
    } else if (place_ != Place::kMetadata) {
      refuse(in_quotes(value));
    } else if (!header_.metadata.emplace(key_, value).second) {
      fail(fmt::format("__metadata__ has {} twice", in_quotes(key_)));
    }
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    constexpr auto kMaxDimension = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (place_ == Place::kShape && value <= kMaxDimension) {
      if (entry_.shape->size() == kMaxDimensions) refuse("more than 8 numbers");
      entry_.shape->push_back(static_cast<int64_t>(value));
    } else if (place_ == Place::kOffsets) {
      if (entry_.offsets->size() == 2) refuse("more than two numbers");
      entry_.offsets->push_back(value);
    } else {
      refuse(fmt::to_string(value));
    }
    return true;
  }

  bool number_integer(int64_t value) override { refuse(fmt::to_string(value)); }
  bool number_float(double, const std::string& text) override { refuse(printable(text)); }
  bool boolean(bool value) override { refuse(value ? "true" : "false"); }
  bool null() override { refuse("null"); }
  bool binary(json::binary_t&) override { refuse("binary"); }  // never from JSON text

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) override {
    fail("the header is not valid JSON: " + describe(error));
  }

 private:
  enum class Place { kStart, kHeader, kMetadata, kTensor, kShape, kOffsets };

  void require(bool is_there, std::string_view field) const {
    if (!is_there) fail(fmt::format("tensor {} has no {}", in_quotes(entry_.name), field));
  }

  // The value that comes next in the header does not belong where it stands.
  [[noreturn]] void refuse(std::string_view value) const {
    switch (place_) {
      case Place::kStart:
        fail(fmt::format("the header is {}; it must be an object", value));
      case Place::kHeader:
        if (key_ == kMetadataKey) {
          fail(fmt::format("__metadata__ is {}; it must be an object", value));
        }
        fail(fmt::format("tensor {} is {}; it must be an object", in_quotes(key_), value));
      case Place::kMetadata:
        fail(fmt::format("{} in __metadata__ is {}; it must be a string", in_quotes(key_), value));
      case Place::kTensor:
      case Place::kShape:
      case Place::kOffsets:
        break;
    }
    const std::string_view verb = place_ == Place::kTensor ? "is" : "holds";
    fail(fmt::format("{} of tensor {} {} {}; it must be {}", key_, in_quotes(entry_.name), verb,
                     value,
                     key_ == "dtype"   ? "a string"
                     : key_ == "shape" ? "an array of up to 8 integers, none below 0"
                                       : "an array of two integers, none below 0"));
  }

  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(ErrorKind::kFile, fmt::format("{}: {}.", file_, problem));
  }

  const std::string& file_;
  Place place_ = Place::kStart;
  std::string key_;  // the last one seen: of a tensor, or of a field within it
  bool has_metadata_ = false;
  Entry entry_;
  SafetensorsHeader header_;
};

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view header, const std::string& file) {
  refuse_zero_bytes(header, file);
  HeaderReader reader(file);
  json::sax_parse(header, &reader);
  return reader.take();
}

}  // namespace orthrus
