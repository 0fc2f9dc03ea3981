// From what people give as a model to the directory or file that it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace orthrus {

// Whether a model is a GGUF file: everything that is not a directory is taken for one.
bool is_gguf(const std::filesystem::path& model);

// The names of the models in GGUF of a directory, of a split one the first file that is there;
// heads, and what else goes beside a model, are none. Of more than `most` entries, any so many are
// looked at.
std::vector<std::string> gguf_models_in(const std::filesystem::path& directory,
                                        size_t most = SIZE_MAX);

// The path itself or, of a directory without weights in safetensors that has one model in GGUF,
// that model's file. Throws Error(kFile) for what cannot be a model, saying what to give: a path
// where nothing is, such as a model's id on Hugging Face, a directory of several GGUF models, one
// file of a directory. All that read a model ask this first.
std::filesystem::path resolve_model(const std::filesystem::path& model);

}  // namespace orthrus
