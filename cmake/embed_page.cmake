# Turns the page's files into a C++ source: cmake -DFOLDER=web -DOUTPUT=page_files.cpp -P this.
cmake_minimum_required(VERSION 3.25)

set(types "html:text/html" "css:text/css" "js:text/javascript" "svg:image/svg+xml")
set(arrays "")
set(rows "")
set(number 0)
file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT files)
foreach(file ${files})
  get_filename_component(ending ${file} LAST_EXT)
  string(SUBSTRING "${ending}" 1 -1 ending)
  set(type ${types})
  list(FILTER type INCLUDE REGEX "^${ending}:")
  if(type STREQUAL "")
    message(FATAL_ERROR "${FOLDER}/${file}: no media type is known for its ending")
  endif()
  string(REPLACE "${ending}:" "" type "${type}")
  file(READ ${FOLDER}/${file} bytes HEX)
  file(SHA256 ${FOLDER}/${file} hash)
  string(SUBSTRING ${hash} 0 16 hash)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {${bytes}};\n")
  string(APPEND rows
    "    {\"${file}\", \"${type}; charset=utf-8\", \"\\\"${hash}\\\"\", text(kFile${number})},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE ${OUTPUT} "// Made by cmake/embed_page.cmake from the files of web/.
#include \"server/web/page_files.h\"

namespace orthrus::server::web {
namespace {

${arrays}
template <size_t N>
std::string_view text(const unsigned char (&bytes)[N]) {
  return {reinterpret_cast<const char*>(bytes), N};
}

const PageFile kFiles[] = {
${rows}};

}  // namespace

std::span<const PageFile> page_files() { return kFiles; }

}  // namespace orthrus::server::web
")
