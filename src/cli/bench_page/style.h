// How the page looks.
#pragma once

namespace orthrus::cli::bench_page {

// CSS without characters that XML would want escaped.
extern const char* const kStyle;

}  // namespace orthrus::cli::bench_page
