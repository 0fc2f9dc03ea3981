// Text in a page.
#pragma once

#include <string>
#include <string_view>

namespace orthrus::cli::bench_page {

// Any bytes as text of an element, or the value of an attribute in double quotes. What XML does not
// take, bytes that are not UTF-8 and what turns the direction of text around are shown by signs;
// of white space, newlines and tabs stay.
std::string html_text(std::string_view bytes);

// The first `most` bytes or a few less, and "..." where there were more.
std::string html_text_cut(std::string_view bytes, size_t most);

}  // namespace orthrus::cli::bench_page
