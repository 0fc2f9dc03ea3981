// Anthropic's "tools" and "tool_choice".
#pragma once

#include <string>
#include <vector>

#include "server/api/fields.h"

namespace orthrus::server::anthropic {

struct Tools {
  std::vector<std::string> texts;  // as render_chat takes them
  std::vector<std::string> names;
};

struct ToolChoice {
  bool none = false;      // the model does not see the tools
  bool required = false;  // it must call one
  std::string name;       // ... this one; empty: any
  bool parallel = true;   // it may call several
};

// Throws ApiError for tools that Anthropic runs or defines, such as "web_search_20250305".
Tools read_tools(const Fields& body);
ToolChoice read_tool_choice(const Fields& body, const Tools& tools);

}  // namespace orthrus::server::anthropic
