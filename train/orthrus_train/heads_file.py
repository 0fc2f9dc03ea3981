"""Files of heads: safetensors in BF16, or GGUF, quantized. NumPy only: converting needs no PyTorch.

Names of tensors and keys are those that the engine reads (src/checkpoint/heads.h). In both formats
norms and biases are F32: they are few, and they are added or multiplied as they are.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import TrainError
from .files import written_whole

ARCHITECTURE = "orthrus-heads"
_LARGEST_BLOCK = 1024
RANKS = range(32, 257, 32)  # that a pairwise term can have
GGUF_TYPES = ("Q8_0", "Q5_0", "Q4_0")  # of matrices in a GGUF file: blocks of 32 columns
_FLOATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # of safetensors, as NumPy reads them
PREVIOUS, NEXT = "model.pair_previous_diff.weight", "model.pair_next_diff.weight"
NAME = re.compile(r"model\.layers\.(\d+)\.self_attn\.([qkvo])_(proj|norm)_diff\.(weight|bias)")
GGUF_NAME = re.compile(r"blk\.(\d+)\.attn_(q|k|v|output)(_norm)?_diff\.(weight|bias)")


@dataclass
class HeadsFile:
    """Heads as they are in a file; tensors by Hugging Face's names, float32."""

    tensors: dict[str, np.ndarray]
    block_size: int | None = None
    mask_token_id: int | None = None
    base: str | None = None

    @property
    def pair_rank(self) -> int:
        """Of the pairwise term's tables; 0 where there are none."""
        found = [self.tensors[name].shape[-1] for name in (PREVIOUS, NEXT) if name in self.tensors]
        return found[0] if found else 0


def _is_ours(name: str) -> bool:
    return name in (PREVIOUS, NEXT) or NAME.fullmatch(name) is not None


def gguf_name(name: str) -> str:
    if name in (PREVIOUS, NEXT):
        return name.removeprefix("model.")
    match = NAME.fullmatch(name)
    if match is None:
        raise TrainError(f"{name}: is not a tensor of heads")
    layer, which, what, kind = match.groups()
    part = {"o": "output"}.get(which, which) + ("_norm" if what == "norm" else "")
    return f"blk.{layer}.attn_{part}_diff.{kind}"


def huggingface_name(name: str) -> str | None:
    """None where it is no tensor of heads."""
    if f"model.{name}" in (PREVIOUS, NEXT):
        return f"model.{name}"
    match = GGUF_NAME.fullmatch(name)
    if match is None:
        return None
    layer, which, norm, kind = match.groups()
    part = {"output": "o"}.get(which, which) + ("_norm" if norm else "_proj")
    return f"model.layers.{layer}.self_attn.{part}_diff.{kind}"


def read(path: Path) -> HeadsFile:
    try:
        with open(path, "rb") as file:
            is_gguf = file.read(4) == b"GGUF"
        heads = _read_gguf(path) if is_gguf else _read_safetensors(path)
    except Exception as error:  # whatever a broken file makes a reader stumble over
        raise TrainError(f"{path}: cannot be read as heads: {error}") from error
    size = heads.block_size
    if size is not None and not (isinstance(size, int) and 2 <= size <= _LARGEST_BLOCK):
        raise TrainError(
            f"{path}: the block size is {size!r}; it must be a number from 2 to {_LARGEST_BLOCK}."
        )
    _check_tables(heads, path)
    return heads


def _check_tables(heads: HeadsFile, path: Path) -> None:
    tables = {name: heads.tensors[name] for name in (PREVIOUS, NEXT) if name in heads.tensors}
    for name, table in tables.items():
        other = NEXT if name == PREVIOUS else PREVIOUS
        if other not in tables:
            raise TrainError(f"{path}: has {name}, but not {other}; it must have both or neither.")
        if table.ndim != 2 or table.shape[1] not in RANKS or table.shape != tables[other].shape:
            raise TrainError(
                f"{path}: {name} is {list(table.shape)}; it must be [vocabulary, rank], as {other}, "
                f"with a rank that is a multiple of 32 from 32 to {RANKS[-1]}."
            )


def _read_safetensors(path: Path) -> HeadsFile:
    """By hand: NumPy has no bfloat16, so the safetensors package gives none."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError(f"its header of {length} bytes does not fit into it")
        header = json.loads(file.read(length))
        data = file.read()

    def widened(name: str, entry: dict[str, Any]) -> np.ndarray:
        begin, end = entry["data_offsets"]
        kind = entry["dtype"]
        if kind not in _FLOATS:
            raise ValueError(f"{name} is of type {kind!r}; supported are {', '.join(_FLOATS)}")
        stored = np.frombuffer(data[begin:end], _FLOATS[kind])
        if kind == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float32).reshape(entry["shape"])

    metadata = header.pop("__metadata__", {})
    tensors = {name: widened(name, entry) for name, entry in header.items() if _is_ours(name)}
    block_size, mask = metadata.get("block_size"), metadata.get("mask_token_id")
    return HeadsFile(
        tensors,
        int(block_size) if block_size else None,
        int(mask) if mask else None,
        metadata.get("base"),
    )


def _read_gguf(path: Path) -> HeadsFile:
    import gguf

    reader = gguf.GGUFReader(path)
    tensors = {}
    for tensor in reader.tensors:
        name = huggingface_name(tensor.name)
        if name is not None:
            tensors[name] = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    def field(key: str) -> Any:
        found = reader.get_field(key)
        return None if found is None else found.contents()

    return HeadsFile(
        tensors,
        field("orthrus.diffusion.block_size"),
        field("tokenizer.ggml.mask_token_id"),
        field("orthrus.heads.base"),
    )


def _complete(heads: HeadsFile, path: Path) -> tuple[int, int, str]:
    """Block size, mask token id and base, of heads that can be written."""
    if heads.block_size is None or heads.mask_token_id is None or heads.base is None:
        missing = {
            "block size": heads.block_size,
            "mask token id": heads.mask_token_id,
            "name of the base (export --base NAME)": heads.base,
        }
        what = ", no ".join(name for name, value in missing.items() if value is None)
        raise TrainError(f"{path}: cannot be written: the heads have no {what}.")
    for name, tensor in heads.tensors.items():
        if not np.isfinite(tensor).all():
            raise TrainError(
                f"{path}: is not written: {name} has numbers that are not finite; "
                "the engine would refuse it."
            )
    return heads.block_size, heads.mask_token_id, heads.base


def as_bfloat16(x: np.ndarray) -> np.ndarray:
    """The upper halves of float32, rounded to the nearest, ties to even; of finite numbers."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def write_safetensors(heads: HeadsFile, path: Path) -> None:
    block_size, mask, base = _complete(heads, path)
    header: dict[str, Any] = {
        "__metadata__": {
            "format": "pt",
            "block_size": str(block_size),
            "mask_token_id": str(mask),
            "base": base,
        }
    }
    parts, offset = [], 0
    for name, tensor in heads.tensors.items():
        matrix = tensor.ndim == 2
        stored = as_bfloat16(tensor).tobytes() if matrix else tensor.astype("<f4").tobytes()
        kind = "BF16" if matrix else "F32"
        header[name] = {
            "dtype": kind,
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(stored)],
        }
        parts.append(stored)
        offset += len(stored)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with written_whole(path) as part, open(part, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(parts)


def write_gguf(heads: HeadsFile, path: Path, matrices: str = GGUF_TYPES[0]) -> None:
    """Matrices in one of GGUF_TYPES, the pairwise term's tables in Q4_0.

    The tables are larger than the rest of a small model's heads, and each term is a sum of hundreds
    of products, whose errors average out.
    """
    import gguf

    block_size, mask, base = _complete(heads, path)
    with written_whole(path) as part:
        writer = gguf.GGUFWriter(part, ARCHITECTURE)
        writer.add_type("adapter")
        writer.add_uint32("orthrus.diffusion.block_size", block_size)
        writer.add_uint32("tokenizer.ggml.mask_token_id", mask)
        writer.add_string("orthrus.heads.base", base)
        for name, tensor in heads.tensors.items():
            if tensor.ndim == 2:
                kinds = gguf.GGMLQuantizationType
                kind = kinds.Q4_0 if name in (PREVIOUS, NEXT) else kinds[matrices]
                if tensor.shape[1] % 32:
                    raise TrainError(
                        f"{name}: has {tensor.shape[1]} columns; {kind.name} needs a multiple of 32"
                    )
                writer.add_tensor(
                    gguf_name(name), gguf.quants.quantize(tensor, kind), raw_dtype=kind
                )
            else:
                writer.add_tensor(gguf_name(name), tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def write(heads: HeadsFile, path: Path, matrices: str = GGUF_TYPES[0]) -> None:
    """By the name's end: .gguf, with matrices of that type, or .safetensors."""
    if path.suffix == ".gguf":
        write_gguf(heads, path, matrices)
    elif path.suffix == ".safetensors":
        write_safetensors(heads, path)
    else:
        raise TrainError(f"{path}: heads are written as .safetensors or .gguf")
