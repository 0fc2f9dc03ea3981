"""Reads a base from a Hugging Face directory: config.json, tokenizer.json, safetensors."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor

from .chat import format_of
from .config import BaseConfig
from .errors import TrainError
from .fields import Fields

_ARCHITECTURES = {
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "OrthrusLM": "qwen3",  # Qwen3 with heads of its own, which are left out
}
_LARGEST = 1 << 24


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise TrainError(f"{path}: cannot be read: {e.strerror or e}.") from e
    except (ValueError, RecursionError) as e:
        raise TrainError(f"{path}: is not JSON: {e}.") from e
    if not isinstance(value, dict):
        raise TrainError(f"{path}: is {type(value).__name__}; it must be a JSON object.")
    return value


def _refuse_other_arithmetic(fields: Fields) -> None:
    """Fields that would make a layer compute something else than network.py does."""
    for name in ("mlp_bias", "use_sliding_window"):
        if fields.flag(name, False):
            raise fields.refuse(name, "supported is false")
    if fields.text("hidden_act", "silu") != "silu":
        raise fields.refuse("hidden_act", 'supported is "silu"')
    for name in ("quantization_config", "quantization"):
        if fields.has(name):
            raise fields.refuse(name, "give the model in 16 bits, or as a GGUF file")
    for name in ("num_experts", "num_local_experts"):
        if fields.has(name):
            raise fields.refuse(name, "mixtures of experts are not supported")
    types = fields.values.get("layer_types")
    if types is not None and (
        not isinstance(types, list) or any(t != "full_attention" for t in types)
    ):
        raise fields.refuse("layer_types", 'supported is "full_attention" for all layers')


def _rope_theta(fields: Fields) -> float:
    """The rotation's base, which newer configurations have in an object of its own."""
    theta = fields.positive("rope_theta", 10000.0)
    for name in ("rope_parameters", "rope_scaling"):
        if not fields.has(name):
            continue
        value = fields.values[name]
        if not isinstance(value, dict):
            raise fields.refuse(name, "it must be an object or null")
        rope = Fields(f"{fields.file}: {name}", value)
        for key in value:
            if key in ("rope_type", "type") and value[key] != "default":
                raise rope.refuse(key, 'supported is "default"')
            if key == "partial_rotary_factor" and value[key] != 1:
                raise rope.refuse(key, "supported is 1")
            if key not in ("rope_type", "type", "partial_rotary_factor", "rope_theta"):
                raise rope.refuse(key, "the field is not supported")
        theta = rope.positive("rope_theta", theta)
    return theta


def _chat_format(directory: Path) -> str:
    template = directory / "chat_template.jinja"
    if template.exists():
        try:
            return format_of(template.read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            raise TrainError(f"{template}: cannot be read: {e}.") from e
    settings = directory / "tokenizer_config.json"
    if not settings.exists():
        return "none"
    text = _read_json(settings).get("chat_template")
    return format_of(text) if isinstance(text, str) else "none"


def read_config(directory: Path) -> BaseConfig:
    path = directory / "config.json"
    fields = Fields(str(path), _read_json(path))
    names = fields.values.get("architectures")
    if not isinstance(names, list) or names not in [[name] for name in _ARCHITECTURES]:
        raise fields.refuse("architectures", f"supported is one of {', '.join(_ARCHITECTURES)}")
    architecture = _ARCHITECTURES[names[0]]
    _refuse_other_arithmetic(fields)
    is_qwen2 = architecture == "qwen2"
    if not is_qwen2 and fields.flag("attention_bias", False):
        raise fields.refuse("attention_bias", "supported is false for Qwen3")
    vocab_size = fields.integer("vocab_size", 1, _LARGEST)
    hidden_size = fields.integer("hidden_size", 1, 1 << 17)
    heads = fields.integer("num_attention_heads", 1, 1024)
    eos_ids = fields.ids("eos_token_id", vocab_size)
    generation = directory / "generation_config.json"
    if generation.exists():
        more = Fields(str(generation), _read_json(generation)).ids("eos_token_id", vocab_size)
        eos_ids = tuple(dict.fromkeys(eos_ids + more))
    one = {name: fields.ids(f"{name}_token_id", vocab_size) for name in ("bos", "pad")}
    config = BaseConfig(
        architecture=architecture,
        name=directory.resolve().name,
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=fields.integer("intermediate_size", 1, 1 << 19),
        layers=fields.integer("num_hidden_layers", 1, 1024),
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads", 1, 1024, heads),
        head_dim=fields.integer("head_dim", 2, 1024, hidden_size // heads if is_qwen2 else 128),
        rope_theta=_rope_theta(fields),
        rms_norm_eps=fields.positive("rms_norm_eps", 1e-6),
        tied=fields.flag("tie_word_embeddings", False),
        attention_bias=is_qwen2,
        qk_norm=not is_qwen2,
        max_positions=fields.integer("max_position_embeddings", 2, _LARGEST, 32768),
        bos_id=one["bos"][0] if one["bos"] else None,
        eos_ids=eos_ids,
        pad_id=one["pad"][0] if one["pad"] else None,
        chat=_chat_format(directory),
    )
    config.check(str(path))
    return config


def read_tokenizer(directory: Path) -> Tokenizer:
    path = directory / "tokenizer.json"
    if not path.exists():
        raise TrainError(f"{path}: is missing; a base needs its tokenizer in this form.")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as e:  # the library throws plain Exception
        raise TrainError(f"{path}: is not a tokenizer that can be used: {e}.") from e


def _shards(directory: Path) -> list[Path]:
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        return [directory / "model.safetensors"]
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise TrainError(f"{index}: weight_map must be an object from tensors to files.")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name:
            raise TrainError(f"{index}: weight_map names {name!r}; it must be a file beside it.")
    return [directory / name for name in names]


def _read_tensor(file: Any, path: Path, name: str) -> Tensor:
    try:
        tensor: Tensor = file.get_tensor(name)
        return tensor
    except (SafetensorError, OSError, ValueError, RuntimeError) as e:
        raise TrainError(f"{path}: tensor {name} cannot be read: {e}.") from e


def open_tensors(directory: Path, stack: ExitStack) -> dict[str, Callable[[], Tensor]]:
    """For each tensor's name, what reads it. The files stay open as long as `stack`."""
    tensors: dict[str, Callable[[], Tensor]] = {}
    for path in _shards(directory):
        if not path.exists():
            raise TrainError(f"{path}: is missing; it holds weights of the base.")
        try:
            file = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
            for name in file.keys():
                tensors[name] = partial(_read_tensor, file, path, name)
        except (SafetensorError, OSError, ValueError) as e:
            raise TrainError(f"{path}: is not a safetensors file that can be read: {e}.") from e
    return tensors
