// JSON texts from files, parsed with the strictness that hostile input needs.
#pragma once

#include <exception>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

namespace orthrus {

// Frees a value without allocating memory. The JSON library's own destructor allocates for values
// that hold others, and ends the process where that fails.
struct JsonDeleter {
  void operator()(nlohmann::json* value) const noexcept;
};

// Never null. Where memory may run out, only this owns objects and lists that are not empty, and
// none is copied: a copy that fails halfway is destroyed by the library.
using JsonPointer = std::unique_ptr<nlohmann::json, JsonDeleter>;

// The object that `text` is, read as Python's json module reads it, by which published files are
// written: a UTF-8 mark at the start is passed over, NaN, Infinity and -Infinity are taken for the
// strings of that name, and of a key that is there twice the value counts once where both are
// equal. Where they are not, a parser would silently drop one: the value is then one that no reader
// of a field accepts, and that `shown` describes. `name` stands for the file in messages. Throws
// Error(kFile) for anything else than one JSON object in UTF-8, and for nesting deeper than any
// real file's.
JsonPointer parse_json_object(std::string_view text, const std::string& name);

// Whether a value is this string. (The library's == allocates memory for it, and ends the process
// where that fails.)
bool is_text(const nlohmann::json& value, std::string_view text);

// The elements of a list; of any other value itself.
std::span<const nlohmann::json> list_or_one(const nlohmann::json& value);

// Throws Error(kFile) for what is recognized as something else than JSON: see what_it_is.
void refuse_other_than_json(std::string_view text, const std::string& name);

// Throws Error(kFile) when there is a zero byte, which the JSON library takes for the text's end.
void refuse_zero_bytes(std::string_view text, const std::string& name);

// What the JSON library says is wrong, without its prefix, shortened and printable.
std::string describe(const std::exception& json_error);

// A value as JSON, shortened and printable; "given twice, as 1 and as 2" for what parse_json_object
// found so.
std::string shown(const nlohmann::json& value);

}  // namespace orthrus
