#include "tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>
#include <tuple>
#include <vector>

#include "tokenizer/nfc_age.h"
#include "tokenizer/utf8.h"

namespace orthrus {
namespace {

constexpr auto kDecompose = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);

constexpr size_t kLongestDecomposition = 4;  // of one code point, canonical
// Composes with nothing, but utf8proc 2.8 takes it for a trailing consonant and drops it.
constexpr utf8proc_int32_t kHangulTrailBase = 0x11a7;
constexpr unsigned char kFirstChanged = 0xcc;  // U+0300, before which all text is composed already

bool is_newer_mark(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class != 0 &&
         is_mark_since_unicode9(static_cast<char32_t>(code_point));
}

int combining_class(utf8proc_int32_t code_point) {
  return is_newer_mark(code_point) ? 0 : utf8proc_get_property(code_point)->combining_class;
}

// Neither composes nor lets what is around it compose, whatever utf8proc takes it for.
bool stands_alone(utf8proc_int32_t code_point) {
  return code_point == kHangulTrailBase || code_point == kComposingSinceUnicode9 ||
         is_newer_mark(code_point);
}

std::vector<utf8proc_int32_t> decomposed(std::string_view text) {
  std::vector<utf8proc_int32_t> code_points;
  code_points.reserve(text.size());
  int boundary_class = 0;  // asked for by utf8proc, used only to find grapheme clusters
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    text.remove_prefix(character.length);
    if (character.code_point == kComposedSinceUnicode9) {
      code_points.push_back(kComposedSinceUnicode9);
      continue;
    }
    std::array<utf8proc_int32_t, kLongestDecomposition> parts;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character.code_point), parts.data(),
                                parts.size(), kDecompose, &boundary_class);
    code_points.insert(code_points.end(), parts.begin(), parts.begin() + count);
  }
  return code_points;
}

// Puts the marks that follow a letter in canonical order: by class, and as they come within one.
// utf8proc would do so too, but by an insertion sort, which a text of nothing but marks makes
// quadratic.
void sort_marks(std::vector<utf8proc_int32_t>& code_points) {
  struct Mark {
    int mark_class;
    size_t position;
    utf8proc_int32_t code_point;
  };
  std::vector<Mark> marks;
  const auto put_back = [&](size_t end) {
    std::sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) {
      return std::tie(a.mark_class, a.position) < std::tie(b.mark_class, b.position);
    });
    for (size_t i = 0; i < marks.size(); ++i) {
      code_points[end - marks.size() + i] = marks[i].code_point;
    }
    marks.clear();
  };
  for (size_t i = 0; i < code_points.size(); ++i) {
    const int mark_class = combining_class(code_points[i]);
    if (mark_class != 0) {
      marks.push_back({mark_class, i, code_points[i]});
    } else if (!marks.empty()) {
      put_back(i);
    }
  }
  put_back(code_points.size());
}

// Composes `code_points`, which are decomposed and in order, in place.
void append_composed(std::string& text, std::span<utf8proc_int32_t> code_points) {
  const auto count = utf8proc_normalize_utf32(
      code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()), kCompose);
  for (const auto code_point : code_points.first(static_cast<size_t>(count))) {
    append_utf8(text, static_cast<char32_t>(code_point));
  }
}

}  // namespace

std::string nfc(std::string_view text) {
  const bool composed = std::all_of(text.begin(), text.end(), [](char byte) {
    return static_cast<unsigned char>(byte) < kFirstChanged;
  });
  if (composed) return std::string(text);

  std::vector<utf8proc_int32_t> code_points = decomposed(text);
  sort_marks(code_points);
  std::string result;
  result.reserve(text.size());
  for (auto begin = code_points.begin();; ++begin) {
    const auto end = std::find_if(begin, code_points.end(), stands_alone);
    append_composed(result, {begin, end});
    if (end == code_points.end()) break;
    append_utf8(result, static_cast<char32_t>(*end));
    begin = end;
  }
  return result;
}

}  // namespace orthrus
