"""Reads a base from a GGUF file: its metadata, its vocabulary, its tensors dequantized."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor

from .chat import format_of
from .config import BaseConfig
from .errors import TrainError
from .fields import Fields

_LARGEST = 1 << 24
_MODEL_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# How a text is split before its pairs are merged, by the name that tokenizer.ggml.pre has for it.
_SPLITS = {
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
}
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5


def gguf_name(name: str) -> str:
    """A tensor's name in a GGUF file, from the one that Hugging Face has for it."""
    stem, kind = name.rsplit(".", 1)
    if stem in _MODEL_NAMES:
        return f"{_MODEL_NAMES[stem]}.{kind}"
    layer, stem = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{_LAYER_NAMES[stem]}.{kind}"


class GgufFile:
    """An open file. Throws TrainError for one that is not GGUF, or not whole."""

    def __init__(self, path: Path) -> None:
        try:
            import gguf
        except ImportError as e:
            raise TrainError(
                f"{path}: reading GGUF needs the package gguf (pip install gguf)."
            ) from e
        self.path = path
        self._dequantize = gguf.dequantize
        try:
            reader = gguf.GGUFReader(path)
            self.tensors = {t.name: t for t in reader.tensors}
            values = {name: field.contents() for name, field in reader.fields.items()}
        except Exception as e:  # whatever the reader stumbles over in a broken file
            raise TrainError(f"{path}: is not a GGUF file that can be read: {e}.") from e
        self.fields = Fields(str(path), values)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Rows first, as everywhere but in the file."""
        tensor = self.tensors.get(name)
        return None if tensor is None else tuple(int(n) for n in reversed(tensor.shape))

    def tensor(self, name: str) -> Tensor:
        """float32, whatever the file holds."""
        tensor = self.tensors[name]
        try:
            values = self._dequantize(tensor.data, tensor.tensor_type)
        except Exception as e:
            raise TrainError(
                f"{self.path}: tensor {name} of type {tensor.tensor_type.name} cannot be "
                f"dequantized: {e}."
            ) from e
        return torch.from_numpy(np.array(values, dtype=np.float32, order="C"))


def _refuse_other_arithmetic(fields: Fields, base: str) -> None:
    """Keys that would make a layer compute something else than network.py does."""
    for name in ("expert_count", "expert_used_count", "attention.sliding_window"):
        if fields.integer(f"{base}.{name}", 0, _LARGEST, 0) != 0:
            raise fields.refuse(f"{base}.{name}", "supported is 0")
    if fields.text(f"{base}.rope.scaling.type", "none") != "none":
        raise fields.refuse(f"{base}.rope.scaling.type", 'supported is "none"')
    if fields.has(f"{base}.rope.scaling.factor"):
        raise fields.refuse(f"{base}.rope.scaling.factor", "scaled rotation is not supported")
    if fields.integer("split.count", 0, 1 << 16, 0) > 1:
        raise fields.refuse("split.count", "join the parts to one file")


def _end_ids(file: GgufFile, vocab_size: int) -> tuple[int, ...]:
    """The file has room for one or two; "<|endoftext|>" ends a text of Qwen's models as well."""
    fields = file.fields
    ids = fields.ids("tokenizer.ggml.eos_token_id", vocab_size)
    ids += fields.ids("tokenizer.ggml.eot_token_id", vocab_size)
    tokens = _texts(fields, "tokenizer.ggml.tokens")
    if "<|endoftext|>" in tokens:
        ids += (tokens.index("<|endoftext|>"),)
    return tuple(dict.fromkeys(ids))


def read_config(file: GgufFile) -> BaseConfig:
    fields = file.fields
    base = fields.text("general.architecture")
    if base not in ("qwen2", "qwen3", "orthrus"):
        raise fields.refuse("general.architecture", 'supported are "qwen2", "qwen3" and "orthrus"')
    _refuse_other_arithmetic(fields, base)
    embedding = file.shape("token_embd.weight")
    if embedding is None or len(embedding) != 2:
        raise TrainError(f"{file.path}: has no matrix token_embd.weight, which is the vocabulary.")
    vocab_size = embedding[0]
    hidden_size = fields.integer(f"{base}.embedding_length", 1, 1 << 17)
    heads = fields.integer(f"{base}.attention.head_count", 1, 1024)
    derived = hidden_size // heads
    head_dim = fields.integer(f"{base}.attention.key_length", 2, 1024, derived)
    for name in (f"{base}.attention.value_length", f"{base}.rope.dimension_count"):
        if fields.integer(name, 0, 1 << 16, head_dim) != head_dim:
            raise fields.refuse(name, f"supported is the width of a head, which is {head_dim}")
    bias = "blk.0.attn_q.bias" in file.tensors
    norm = "blk.0.attn_q_norm.weight" in file.tensors
    one = {
        name: fields.ids(f"tokenizer.ggml.{name}_token_id", vocab_size)
        for name in ("bos", "padding")
    }
    config = BaseConfig(
        architecture=base if base != "orthrus" else "qwen3" if norm else "qwen2",
        name=fields.text("general.name", file.path.stem),
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=fields.integer(f"{base}.feed_forward_length", 1, 1 << 19),
        layers=fields.integer(f"{base}.block_count", 1, 1024),
        heads=heads,
        kv_heads=fields.integer(f"{base}.attention.head_count_kv", 1, 1024, heads),
        head_dim=head_dim,
        rope_theta=fields.positive(f"{base}.rope.freq_base", 10000.0),
        # float32 in the file: the nearest short decimal is what was meant
        rms_norm_eps=float(f"{fields.positive(f'{base}.attention.layer_norm_rms_epsilon'):.6g}"),
        tied="output.weight" not in file.tensors,
        attention_bias=base == "qwen2" or (base == "orthrus" and bias),
        qk_norm=base == "qwen3" or (base == "orthrus" and norm),
        max_positions=fields.integer(f"{base}.context_length", 2, _LARGEST),
        bos_id=one["bos"][0] if one["bos"] else None,
        eos_ids=_end_ids(file, vocab_size),
        pad_id=one["padding"][0] if one["padding"] else None,
        chat=format_of(fields.text("tokenizer.chat_template", "")),
    )
    config.check(str(file.path))
    return config


def _texts(fields: Fields, name: str) -> list[str]:
    values = fields.values.get(name)
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise TrainError(f"{fields.file}: {name} must be a list of texts.")
    return values


def _pair(fields: Fields, merge: str) -> tuple[str, str]:
    parts = merge.split(" ")
    if len(parts) != 2:
        raise TrainError(
            f'{fields.file}: tokenizer.ggml.merges has {merge!r}; it must be "left right".'
        )
    return parts[0], parts[1]


def _token_types(fields: Fields, count: int) -> list[int]:
    types = fields.values.get("tokenizer.ggml.token_type")
    if not isinstance(types, list) or len(types) != count:
        raise TrainError(
            f"{fields.file}: tokenizer.ggml.token_type must be a list of {count} numbers, one for "
            "each of tokenizer.ggml.tokens."
        )
    for i, kind in enumerate(types):
        if kind not in (_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED):
            raise TrainError(
                f"{fields.file}: tokenizer.ggml.token_type[{i}] is {kind}; supported are 1 "
                "(normal), 3 (control), 4 (user-defined) and 5 (unused)."
            )
    return types


def read_tokenizer(file: GgufFile) -> Tokenizer:
    """Byte-level BPE, as the vocabulary and the merges in the file say."""
    fields = file.fields
    if fields.text("tokenizer.ggml.model") != "gpt2":
        raise fields.refuse("tokenizer.ggml.model", 'supported is "gpt2" (byte-level BPE)')
    split = _SPLITS.get(fields.text("tokenizer.ggml.pre"))
    if split is None:
        raise fields.refuse("tokenizer.ggml.pre", f"supported is {' or '.join(_SPLITS)}")
    tokens = _texts(fields, "tokenizer.ggml.tokens")
    types = _token_types(fields, len(tokens))
    merges = [_pair(fields, m) for m in _texts(fields, "tokenizer.ggml.merges")]
    vocab = {t: i for i, (t, kind) in enumerate(zip(tokens, types, strict=True)) if kind == _NORMAL}
    added = [i for i, kind in enumerate(types) if kind in (_CONTROL, _USER_DEFINED)]
    # The library gives an added token the id that the vocabulary has for its text.
    vocab |= {tokens[i]: i for i in added}
    try:
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(split), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_tokens(
            [AddedToken(tokens[i], special=types[i] == _CONTROL, normalized=False) for i in added]
        )
    except Exception as e:  # the library throws plain Exception
        raise TrainError(f"{file.path}: has no tokenizer that can be used: {e}.") from e
    return tokenizer


def open_tensors(file: GgufFile, names: list[str]) -> dict[str, Callable[[], Tensor]]:
    """For each of these names (Hugging Face's) that the file has, what reads the tensor."""
    return {
        name: partial(file.tensor, gguf_name(name))
        for name in names
        if gguf_name(name) in file.tensors
    }
