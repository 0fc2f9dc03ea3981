"""Tiny bases of random weights, and the same ones as files."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

from orthrus_train.base import Base
from orthrus_train.config import BaseConfig, tensor_shapes
from orthrus_train.gguf_file import gguf_name
from orthrus_train.vocabulary import SPECIALS, byte_tokenizer

REPOSITORY = Path(__file__).parents[2]
END = 256 + SPECIALS.index("<|im_end|>")
CHATML_TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}...{% endfor %}"


def tiny_config(architecture: str = "qwen3", **changes: Any) -> BaseConfig:
    """Two layers; a vocabulary of bytes, special tokens and four ids that no token has."""
    is_qwen2 = architecture == "qwen2"
    values: dict[str, Any] = dict(
        architecture=architecture,
        vocab_size=264,
        hidden_size=64,
        intermediate_size=96,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=16,
        rope_theta=10000.0,
        attention_bias=is_qwen2,
        qk_norm=not is_qwen2,
        max_positions=2048,
        eos_ids=(END,),
        chat="chatml",
    )
    return BaseConfig(**(values | changes))


def tensors_of(base: Base) -> dict[str, torch.Tensor]:
    tensors = {"model.embed_tokens.weight": base.embed, "model.norm.weight": base.norm}
    if not base.config.tied:
        tensors["lm_head.weight"] = base.head
    for i, layer in enumerate(base.layers):
        tensors |= {f"model.layers.{i}.{name}": t for name, t in layer.items()}
    return tensors


def config_json(config: BaseConfig) -> dict[str, object]:
    return {
        "architectures": [f"{config.architecture.capitalize()}ForCausalLM"],
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "rope_theta": config.rope_theta,
        "rms_norm_eps": config.rms_norm_eps,
        "tie_word_embeddings": config.tied,
        "max_position_embeddings": config.max_positions,
        "eos_token_id": list(config.eos_ids),
        "hidden_act": "silu",
    }


def write_huggingface(
    directory: Path, config: BaseConfig, tensors: dict[str, torch.Tensor], **fields: object
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config_json(config) | fields))
    byte_tokenizer().save(str(directory / "tokenizer.json"))
    template = {"chat_template": CHATML_TEMPLATE}
    (directory / "tokenizer_config.json").write_text(json.dumps(template))
    tensors = {n: t.contiguous().clone() for n, t in tensors.items()}
    save_file(tensors, directory / "model.safetensors")
    return directory


def write_gguf(
    path: Path,
    config: BaseConfig,
    tensors: dict[str, torch.Tensor],
    types: dict[str, gguf.GGMLQuantizationType] | None = None,
    **fields: Any,
) -> Path:
    """`types` by tensors' names; float32 for all others. `fields` add to and change metadata."""
    arch = config.architecture
    tokenizer = byte_tokenizer()
    size = config.vocab_size
    by_id = {i: t for t, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    metadata: dict[str, Any] = {
        f"{arch}.block_count": config.layers,
        f"{arch}.context_length": config.max_positions,
        f"{arch}.embedding_length": config.hidden_size,
        f"{arch}.feed_forward_length": config.intermediate_size,
        f"{arch}.attention.head_count": config.heads,
        f"{arch}.attention.head_count_kv": config.kv_heads,
        f"{arch}.attention.key_length": config.head_dim,
        f"{arch}.attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        f"{arch}.rope.freq_base": config.rope_theta,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": [by_id.get(i, f"[PAD{i}]") for i in range(size)],
        "tokenizer.ggml.token_type": [
            1 if i < 256 else 3 if i in by_id else 5 for i in range(size)
        ],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.eos_token_id": config.eos_ids[0],
        "tokenizer.chat_template": CHATML_TEMPLATE,
    }
    # "ab" of the merge must be a token: it takes an id that the tokenizer of bytes leaves unused.
    metadata["tokenizer.ggml.tokens"][size - 1] = "ab"
    metadata["tokenizer.ggml.token_type"][size - 1] = 1
    writer = gguf.GGUFWriter(path, str(fields.pop("architecture", arch)))
    add: dict[type, Any] = {
        int: writer.add_uint32,
        float: writer.add_float32,
        str: writer.add_string,
        list: writer.add_array,
    }
    for key, value in (metadata | fields).items():
        add[type(value)](key, value)
    for name, tensor in tensors.items():
        values = tensor.float().numpy()
        kind = (types or {}).get(name, gguf.GGMLQuantizationType.F32)
        if kind == gguf.GGMLQuantizationType.F16:
            writer.add_tensor(gguf_name(name), values.astype(np.float16))
        elif kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(gguf_name(name), values)
        else:
            writer.add_tensor(gguf_name(name), gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def random_tensors(config: BaseConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    tensors = tensors_of(Base.random(config, seed))
    assert {n: tuple(t.shape) for n, t in tensors.items()} == tensor_shapes(config)
    return tensors


def talker(**changes: Any) -> Base:
    """A base that ends its turns now and then."""
    base = Base.random(tiny_config(**changes), 1)
    base.head[END] *= 2
    return base
