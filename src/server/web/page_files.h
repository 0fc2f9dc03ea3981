// The files of web/, which the build puts into the program.
#pragma once

#include <span>
#include <string_view>

namespace orthrus::server::web {

struct PageFile {
  std::string_view name;  // "app.js"
  std::string_view type;  // its media type
  std::string_view etag;  // of its bytes, with the quotation marks
  std::string_view bytes;
};

std::span<const PageFile> page_files();

}  // namespace orthrus::server::web
