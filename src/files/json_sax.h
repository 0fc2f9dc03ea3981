// What all of our readers of JSON have in common, whatever values they build.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "files/json_document.h"

namespace orthrus {

// Hears of a text's values as the JSON library's parser goes through it. (The library builds values
// by itself, too, but without a limit of depth, and in quadratic time for long arrays or objects.)
template <typename Value>
class JsonSax : public nlohmann::json_sax<Value> {
 public:
  // Hears all of `text`, which is to be JSON in UTF-8; otherwise calls fail().
  void parse(std::string_view text) {
    // The library takes a zero byte for the text's end.
    if (const size_t zero = text.find('\0'); zero != text.npos) {
      fail(fmt::format("is not valid JSON: byte {} is zero", zero));
    }
    Value::sax_parse(text, static_cast<nlohmann::json_sax<Value>*>(this));
  }

 protected:
  explicit JsonSax(size_t most_depth) : most_depth_(most_depth) {}

  // An object or a list begins, or ends.
  virtual void open(nlohmann::detail::value_t type) = 0;
  virtual void close() = 0;
  // Of the member that comes next.
  virtual void set_key(std::string key) = 0;
  // A value that holds no others.
  virtual void add(Value&& value) = 0;
  // Throws; `problem` is of the text: "is nested more than 32 deep".
  [[noreturn]] virtual void fail(std::string_view problem) const = 0;

 private:
  bool start_object(size_t) final { return enter(nlohmann::detail::value_t::object); }
  bool start_array(size_t) final { return enter(nlohmann::detail::value_t::array); }
  bool end_object() final { return leave(); }
  bool end_array() final { return leave(); }
  bool key(std::string& key) final {
    set_key(std::move(key));
    return true;
  }
  bool null() final { return hear(nullptr); }
  bool boolean(bool value) final { return hear(value); }
  bool number_integer(int64_t value) final { return hear(value); }
  bool number_unsigned(uint64_t value) final { return hear(value); }
  bool number_float(double value, const std::string&) final { return hear(value); }
  bool string(std::string& value) final { return hear(std::move(value)); }
  bool binary(typename Value::binary_t&) final { return false; }  // never from JSON text
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& error) final {
    fail("is not valid JSON: " + describe(error));
    return false;
  }

  bool enter(nlohmann::detail::value_t type) {
    if (depth_ == most_depth_) fail(fmt::format("is nested more than {} deep", most_depth_));
    ++depth_;
    open(type);
    return true;
  }
  bool leave() {
    --depth_;
    close();
    return true;
  }
  bool hear(Value&& value) {
    add(std::move(value));
    return true;
  }

  const size_t most_depth_;
  size_t depth_ = 0;
};

}  // namespace orthrus
