#!/usr/bin/env python3
"""Orthrus heads from safetensors to GGUF, their matrices in Q8_0.

    scripts/quantize-heads.py heads.safetensors heads.gguf --base NAME [--block-size N] [--mask-token-id ID]

Needs, from PyPI: gguf, numpy. The names of tensors and keys are those that orthrus reads
(src/checkpoint/heads.h). Block size, mask and base are taken from the safetensors file's metadata where
it has them; options come before them.
"""

import argparse
import json
import re

import gguf
import numpy as np

ARCHITECTURE = "orthrus-heads"
NAME = re.compile(r"model\.layers\.(\d+)\.self_attn\.([qkvo])_(proj|norm)_diff\.(weight|bias)")


def gguf_name(name: str) -> str:
    match = NAME.fullmatch(name)
    if match is None:
        raise SystemExit(f"{name}: is not a tensor of heads")
    layer, which, what, kind = match.groups()
    part = {"o": "output"}.get(which, which) + ("_norm" if what == "norm" else "")
    return f"blk.{layer}.attn_{part}_diff.{kind}"


def read_safetensors(path: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata, and tensors widened to float32. (NumPy has no bfloat16, so the safetensors package gives none.)"""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()

    def widened(entry: dict) -> np.ndarray:
        begin, end = entry["data_offsets"]
        stored = data[begin:end]
        if entry["dtype"] == "BF16":
            numbers = (np.frombuffer(stored, "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            numbers = np.frombuffer(stored, {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]).astype(np.float32)
        return numbers.reshape(entry["shape"])

    metadata = header.pop("__metadata__", {})
    return metadata, {name: widened(entry) for name, entry in header.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Orthrus heads from safetensors to GGUF in Q8_0")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--base", help="the name of the model that the heads are for")
    parser.add_argument("--block-size", type=int)
    parser.add_argument("--mask-token-id", type=int)
    options = parser.parse_args()

    metadata, tensors = read_safetensors(options.source)
    writer = gguf.GGUFWriter(options.target, ARCHITECTURE)
    writer.add_type("adapter")
    for key, given, kept in (("orthrus.diffusion.block_size", options.block_size, "block_size"),
                             ("tokenizer.ggml.mask_token_id", options.mask_token_id, "mask_token_id")):
        value = given if given is not None else metadata.get(kept)
        if value is None:
            raise SystemExit(f"{options.source}: says no {kept}; give it as an option")
        writer.add_uint32(key, int(value))
    base = options.base or metadata.get("base")
    if base is None:
        raise SystemExit(f"{options.source}: says no base; give it as an option")
    writer.add_string("orthrus.heads.base", base)

    for name in tensors:
        tensor = tensors[name]
        if tensor.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(tensor, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name(name), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
