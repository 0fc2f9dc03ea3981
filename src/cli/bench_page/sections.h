// The parts of the page, each a section of HTML.
#pragma once

#include <string>
#include <string_view>

#include "cli/bench_page/page.h"

namespace orthrus::cli::bench_page {

std::string speed_section(const Content& content);
std::string drafts_section(const Content& content);
std::string acceptance_section(const Content& content);
std::string roofline_section(const Content& content);
std::string texts_section(const Content& content);

// The style's class of a source's colour, and what people call it.
std::string_view class_of(DraftSource source);
std::string_view words_for(DraftSource source);

// "1.54", in an element that has all its digits; "-" for none.
std::string number(std::optional<double> value, int decimals);

// A prompt on one line, short.
std::string short_label(const std::string& text);

// A picture with what it is about above, and more about it below, which may be empty.
std::string figure(std::string_view caption, const std::string& picture,
                   const std::string& below = {});

}  // namespace orthrus::cli::bench_page
