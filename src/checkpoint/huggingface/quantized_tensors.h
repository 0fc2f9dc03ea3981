// Matrices that a Hugging Face checkpoint has quantized, each from the tensors that it is in.
#pragma once

#include <vector>

#include "checkpoint/huggingface/quantization_config.h"
#include "checkpoint/huggingface/safetensors.h"
#include "checkpoint/tensor.h"

namespace orthrus {

// The tensors of a quantized checkpoint, sorted by name: those that are parts of a matrix NAME
// become one, NAME.weight, with an encoding; the others stay what they are. N rows, K columns:
// - FP8, and compressed-tensors' float-quantized: weight F8_E4M3 [N][K], weight_scale_inv or
//   weight_scale: by blocks of rows and columns, by row, or one.
// - AWQ: qweight I32 [K][N/8], qzeros I32 [groups][N/8], scales [groups][N]. A word has eight rows
//   of a column, in the order 0, 2, 4, 6, 1, 3, 5, 7.
// - GPTQ: qweight I32 [K/8][N], a word having eight columns of a row; qzeros I32 [groups][N/8],
//   eight rows; scales [groups][N]; g_idx I32 [K], each column's group. Four in place of eight with
//   8 bits.
// - compressed-tensors' pack-quantized: weight_packed I32 [N][K/8], weight_scale [N][groups],
//   weight_shape I64 [2]; with zero points weight_zero_point I32 [N/8][groups]; weight_g_idx I32
//   [K] if columns are of other groups than their neighbours. What is signed is stored with 8
//   added, or 128.
// Whether a matrix is quantized is for its tensors to say; what they hold must be what
// `quantization` says. Scales of activations and of keys and values are dropped.
//
// Reads all scales, zero points and groups. Throws Error: kFile, naming file and tensor, for parts
// that are missing, of other shapes or values than valid ones, or not as `quantization` says;
// kUnsupported for a tensor that is no part and has another type than F32, F16 and BF16.
std::vector<Tensor> resolve_quantized(std::vector<StoredTensor> stored,
                                      const Quantization& quantization);

}  // namespace orthrus
