#include "tokenizer/tokenizer_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "files/display.h"
#include "orthrus/error.h"
#include "tokenizer/tokenizer_spec.h"

namespace orthrus {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 32;
// Of the values in the tree: each takes many times the memory of its text. Real files have eight
// for each added token, and a few dozen besides.
constexpr size_t kMaxTreeValues = 1'000'000;

// Receives the file's JSON value by value. A tree of a vocabulary and its merges would take several
// times as long to build, and then to free, as all the rest of loading.
class Reader : public nlohmann::json_sax<json> {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  TokenizerDocument take() {
    if (!document_.fields->is_object()) {
      fail(fmt::format("is {}; it must be a JSON object.", shown(*document_.fields)));
    }
    return std::move(document_);
  }

  bool null() override { return value(nullptr); }
  bool boolean(bool given) override { return value(given); }
  bool number_integer(number_integer_t given) override { return value(given); }
  bool number_float(number_float_t given, const string_t&) override { return value(given); }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool number_unsigned(number_unsigned_t given) override {
    if (state_ != State::kVocab || given >= kMaxTokens) return value(given);
    if (document_.vocab.size() == kMaxTokens) {
      fail(fmt::format("model.vocab has more than {} tokens.", kMaxTokens));
    }
    document_.vocab.emplace_back(std::move(key_), static_cast<int32_t>(given));
    return true;
  }

  bool string(string_t& given) override {
    switch (state_) {
      case State::kMerges:
        add_merge(given);
        return true;
      case State::kMergePair:
        add_merge_part(given);
        return true;
      default:
        return value(std::move(given));
    }
  }

  bool key(string_t& given) override {
    if (state_ == State::kTree && open_.back().value->contains(given)) {
      fail(fmt::format("an object has the key {} twice.", in_quotes(given)));
    }
    key_ = std::move(given);
    return true;
  }

  bool start_object(size_t) override {
    if (state_ == State::kTree && is_in_model("vocab")) {
      place(json::object());
      state_ = State::kVocab;
      return true;
    }
    return open(json::object(), "an object");
  }

  bool end_object() override { return close(); }

  bool start_array(size_t) override {
    if (state_ == State::kTree && is_in_model("merges")) {
      place(json::array());
      state_ = State::kMerges;
      return true;
    }
    if (state_ == State::kMerges) {
      state_ = State::kMergePair;
      return true;
    }
    return open(json::array(), "an array");
  }

  bool end_array() override {
    if (state_ != State::kMergePair) return close();
    if (merge_parts_.size() != 2) refuse_merge(fmt::format("a list of {}", merge_parts_.size()));
    push_merge(std::move(merge_parts_[0]), std::move(merge_parts_[1]));
    merge_parts_.clear();
    state_ = State::kMerges;
    return true;
  }

  bool parse_error(size_t, const std::string&, const json::exception& error) override {
    fail(fmt::format("is not valid JSON: {}.", describe(error)));
  }

 private:
  enum class State { kTree, kVocab, kMerges, kMergePair };

  struct Open {
    json* value;
    std::string key;  // in the object around it
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kFile, fmt::format("{}: {}", name_, what));
  }

  [[noreturn]] void refuse_merge(const std::string& what) const {
    fail(fmt::format(R"(model.merges[{}] is {}; it must be "left right" or ["left", "right"].)",
                     document_.merges.size(), what));
  }

  [[noreturn]] void refuse_id(const std::string& what) const {
    fail(fmt::format("model.vocab[{}] is {}; it must be an integer from 0 to {}.", in_quotes(key_),
                     what, kMaxTokens - 1));
  }

  bool is_in_model(std::string_view key) const {
    return open_.size() == 2 && open_[1].key == "model" && open_[1].value->is_object() &&
           key_ == key;
  }

  // Puts a value, which is empty or no list or object, where the file has it.
  json* place(json given) {
    if (++values_ > kMaxTreeValues) {
      fail(fmt::format("has more than {} values besides model.vocab and model.merges.",
                       kMaxTreeValues));
    }
    if (open_.empty()) {
      *document_.fields = std::move(given);
      return document_.fields.get();
    }
    json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(given));
      return &parent.back();
    }
    return &(parent[key_] = std::move(given));
  }

  // A value that is neither an object nor a list.
  bool value(json given) {
    if (state_ == State::kVocab) refuse_id(shown(given));
    if (state_ == State::kMerges) refuse_merge(shown(given));
    if (state_ == State::kMergePair) refuse_merge("a list with " + shown(given));
    place(std::move(given));
    return true;
  }

  bool open(json given, const std::string& what) {
    if (state_ == State::kVocab) refuse_id(what);
    if (state_ == State::kMerges) refuse_merge(what);
    if (state_ == State::kMergePair) refuse_merge("a list with " + what);
    if (open_.size() == kMaxDepth)
      fail(fmt::format("is nested more than {} levels deep.", kMaxDepth));
    std::string key = key_;
    json* placed = place(std::move(given));
    open_.push_back({placed, std::move(key)});
    return true;
  }

  bool close() {
    if (state_ == State::kTree) {
      open_.pop_back();
    } else {
      state_ = State::kTree;
    }
    return true;
  }

  void add_merge(const std::string& pair) {
    const size_t space = pair.find(' ');
    if (space == pair.npos || pair.find(' ', space + 1) != pair.npos) refuse_merge(in_quotes(pair));
    push_merge(pair.substr(0, space), pair.substr(space + 1));
  }

  void add_merge_part(std::string& part) {
    if (merge_parts_.size() == 2) refuse_merge("a list of more");
    merge_parts_.push_back(std::move(part));
  }

  void push_merge(std::string left, std::string right) {
    if (document_.merges.size() == kMaxTokens) {
      fail(fmt::format("model.merges has more than {} merges.", kMaxTokens));
    }
    document_.merges.emplace_back(std::move(left), std::move(right));
  }

  const std::string& name_;
  TokenizerDocument document_{.fields = JsonPointer(new json), .vocab = {}, .merges = {}};
  State state_ = State::kTree;
  std::vector<Open> open_;  // the objects and lists of the tree that are not complete
  std::string key_;         // the last one read
  std::vector<std::string> merge_parts_;
  size_t values_ = 0;
};

}  // namespace

TokenizerDocument parse_tokenizer_document(std::string_view text, const std::string& name) {
  refuse_other_than_json(text, name);
  refuse_zero_bytes(text, name);
  Reader reader(name);
  json::sax_parse(text, &reader);
  return reader.take();
}

}  // namespace orthrus
