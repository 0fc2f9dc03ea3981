#include "files/recognize.h"

#include <algorithm>
#include <array>

namespace orthrus {
namespace {

using std::string_view_literals::operator""sv;

struct Kind {
  std::string_view beginning;
  std::string_view what;
};

constexpr std::string_view kPage = "it is a web page; download the file itself";
constexpr std::string_view kDownloadError =
    "it is the message of a download that failed; download the file again";
constexpr std::string_view kArchive = "it is an archive; unpack it";
constexpr std::string_view kPickle =
    "it is a Python pickle, in which PyTorch saves models; convert the model to safetensors";
constexpr std::string_view kGgml =
    "it is of a format older than GGUF; convert the model again from its original";
constexpr std::string_view kUtf16 = "it is text in UTF-16; save it as UTF-8";

constexpr std::array kKinds = {
    Kind{"version https://git-lfs",
         "it is a pointer of Git LFS, which \"git lfs pull\" replaces by the file"},
    Kind{"<!", kPage},
    Kind{"<html", kPage},
    Kind{"<HTML", kPage},
    Kind{"<?xml", kPage},
    Kind{"Entry not found", kDownloadError},
    Kind{"Repository not found", kDownloadError},
    Kind{"Invalid username or password", kDownloadError},
    Kind{"Invalid credentials", kDownloadError},
    Kind{"Access to model", kDownloadError},
    Kind{"404: Not Found", kDownloadError},
    Kind{"Not Found", kDownloadError},
    Kind{"PK\x03\x04",
         "it is a zip archive, in which PyTorch saves models; convert the model to safetensors"},
    Kind{"\x80\x02", kPickle},
    Kind{"\x80\x03", kPickle},
    Kind{"\x80\x04", kPickle},
    Kind{"\x80\x05", kPickle},
    Kind{"\x1f\x8b", "it is compressed with gzip; unpack it"},
    Kind{"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it"},
    Kind{"\xfd"
         "7zXZ",
         "it is compressed with xz; unpack it"},
    Kind{"7z\xbc\xaf", kArchive},
    Kind{"Rar!", kArchive},
    Kind{"GGUF", "it is a GGUF file; give it the name NAME.gguf, and that as the model"},
    Kind{"tjgg", kGgml},
    Kind{"fmgg", kGgml},
    Kind{"lmgg", kGgml},
    Kind{"\x89HDF", "it is an HDF5 file; convert the model to safetensors"},
    Kind{"\xff\xfe", kUtf16},
    Kind{"\xfe\xff", kUtf16},
    Kind{"{", kItIsJson},
};

// Whether the bytes are as a safetensors file begins: with the length of a header, which is far
// below 2^32, and the header's brace.
bool starts_with_header(std::string_view beginning) {
  return beginning.size() >= 8 && beginning.substr(4, 4) == "\0\0\0\0"sv &&
         (beginning.size() == 8 || beginning[8] == '{');
}

}  // namespace

std::string_view what_it_is(std::string_view beginning) {
  constexpr size_t kEnough = 16;
  if (beginning.size() >= kEnough &&
      std::ranges::all_of(beginning.substr(0, kEnough), [](char c) { return c == '\0'; })) {
    return "it starts with zeros, as a file does whose download has not finished";
  }
  if (starts_with_header(beginning)) return kItIsSafetensors;
  if (beginning.starts_with("\xef\xbb\xbf")) beginning.remove_prefix(3);
  const size_t start = beginning.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) return "";
  beginning.remove_prefix(start);
  for (const Kind& kind : kKinds) {
    if (beginning.starts_with(kind.beginning)) return kind.what;
  }
  return "";
}

}  // namespace orthrus
