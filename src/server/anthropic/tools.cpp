#include "server/anthropic/tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace orthrus::server::anthropic {

Tools read_tools(const Fields& body) {
  Tools tools;
  std::set<std::string> seen;
  const Json* list = body.list("tools");
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const Fields tool((*list)[i], fmt::format("tools[{}]", i));
    if (tool.text("type").value_or("custom") != "custom") {
      tool.refuse("type", "\"custom\" or left out: this server has no tools of its own");
    }
    std::string name = text_of(tool.required("name", "a string"), tool.path_of("name"));
    if (name.empty()) tool.refuse("name", "a name");
    if (!seen.insert(name).second) tool.refuse("name", "a name that no other tool has");
    const Json& schema = tool.required("input_schema", "a JSON schema");
    if (!schema.is_object()) tool.refuse("input_schema", "a JSON schema, an object");

    Json function = {{"name", name}};
    if (auto description = tool.text("description")) function["description"] = *description;
    function["parameters"] = schema;
    tools.texts.push_back(to_text({{"type", "function"}, {"function", std::move(function)}}));
    tools.names.push_back(std::move(name));
  }
  return tools;
}

ToolChoice read_tool_choice(const Fields& body, const Tools& tools) {
  ToolChoice choice;
  const auto fields = body.object("tool_choice");
  if (!fields) return choice;
  fields->required("type", "\"auto\", \"any\", \"tool\" or \"none\"");
  const std::string type = *fields->choice("type", {"auto", "any", "tool", "none"});
  choice.parallel = !fields->boolean("disable_parallel_tool_use").value_or(false);
  choice.none = type == "none";
  choice.required = type == "any" || type == "tool";
  if (choice.required && tools.names.empty()) {
    fields->refuse("type", "\"auto\" or \"none\" where there are no tools");
  }
  if (type == "tool") {
    choice.name = text_of(fields->required("name", "a tool's name"), "tool_choice.name");
    if (std::find(tools.names.begin(), tools.names.end(), choice.name) == tools.names.end()) {
      fields->refuse("name", "the name of one of the tools");
    }
  }
  return choice;
}

}  // namespace orthrus::server::anthropic
