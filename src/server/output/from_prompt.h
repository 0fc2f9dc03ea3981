// What the prompt says of the answer's text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "orthrus/chat.h"
#include "server/output/parser.h"

namespace orthrus::server {

// How to read an answer to this prompt of render_chat: where it leaves the thinking, open, closed
// or neither; and with calls, where there are tools of these names. `call_id`: see OutputOptions.
OutputOptions output_options(ChatFormat format, std::string_view prompt,
                             std::vector<std::string> tool_names, std::string call_id = "call_");

// What an answer to this prompt begins with that must call the tool `name`; or, if that is empty,
// some tool. To be appended to the prompt, and put into the parser before the model's text.
std::string forced_call(ChatFormat format, std::string_view prompt, std::string_view name);

}  // namespace orthrus::server
