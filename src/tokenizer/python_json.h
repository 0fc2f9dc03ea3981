// JSON as Python writes it, which is how chat templates show JSON to a model.
#pragma once

#include <string>
#include <string_view>

namespace orthrus {

// What json.dumps(json.loads(text), ensure_ascii=False) gives in Python for a JSON object: ", " and
// ": " between values, keys in their order, Python's spelling of numbers. Throws Error(kUsage),
// saying after `what` why, when `text` is anything else.
std::string python_json_object(std::string_view text, std::string_view what);

}  // namespace orthrus
