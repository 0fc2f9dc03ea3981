// Which chat format a template asks for.
#pragma once

#include <string_view>

#include "orthrus/chat.h"

namespace orthrus {

// By the template's text; trailing white space does not count, and no text is no template.
ChatFormat chat_format_of(std::string_view text);

}  // namespace orthrus
