// A whole GGUF file. What parses must lie within the file, apart, and be as large as its shape
// says; every value of the metadata can be asked for as any type.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include "checkpoint/gguf/gguf.h"
#include "checkpoint/gguf/model.h"
#include "kernels/formats/format.h"
#include "orthrus/error.h"

namespace {

void check_tensors(const orthrus::GgufFile& file, std::span<const std::byte> bytes) {
  size_t data_bytes = 0;
  for (const orthrus::Tensor& tensor : file.tensors) {
    size_t count = 1;
    for (const int64_t dimension : tensor.shape) count *= static_cast<size_t>(dimension);
    if (tensor.bytes != orthrus::bytes_of(orthrus::format_of(tensor.type), count)) std::abort();
    if (tensor.data < bytes.data()) std::abort();
    if (tensor.data + tensor.bytes > bytes.data() + bytes.size()) std::abort();
    data_bytes += tensor.bytes;
  }
  if (data_bytes > bytes.size()) std::abort();
}

void ask_for_everything(const orthrus::GgufMetadata& metadata) {
  orthrus::Problems problems;
  const std::string name = "fuzz";
  const orthrus::GgufFields fields(metadata, name, problems);
  for (const auto& [key, value] : metadata.entries()) {
    const int integer = fields.integer(key, -5, 1000);
    if (integer < -5 || integer > 1000) std::abort();
    if (!(fields.positive(key) > 0)) std::abort();
    (void)fields.boolean(key, false);
    (void)fields.text(key);
    (void)fields.texts(key);
    for (const int32_t element : fields.integers(key, 0, 1000)) {
      if (element < 0 || element > 1000) std::abort();
    }
  }
}

// Anything may be missing; what is there must be usable.
void read_as_model(orthrus::GgufFile file) {
  orthrus::GgufModel model;
  model.name = "fuzz";
  model.metadata = std::move(file.metadata);
  model.tensors = std::move(file.tensors);
  const auto vocabulary = orthrus::read_gguf_vocabulary(model);
  if (vocabulary && vocabulary->types.size() != vocabulary->tokens.size()) std::abort();
  (void)orthrus::read_gguf_chat_template(model);
  const orthrus::ModelConfig config = orthrus::read_gguf_config(model, vocabulary);
  if (config.num_attention_heads % config.num_key_value_heads != 0) std::abort();
  if (config.head_dim < 2 || config.head_dim % 2 != 0) std::abort();
  if (config.mask_token_id >= config.vocab_size) std::abort();
  for (const int32_t id : config.eos_token_ids) {
    if (id < 0 || id >= config.vocab_size) std::abort();
  }
  orthrus::translate_names(model.tensors, model.name);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  const auto bytes = std::as_bytes(std::span(input, size));
  try {
    orthrus::GgufFile file = orthrus::parse_gguf(bytes, "fuzz");
    check_tensors(file, bytes);
    ask_for_everything(file.metadata);
    read_as_model(std::move(file));
  } catch (const orthrus::Error&) {
  }
  return 0;
}
