#!/usr/bin/env python3
"""Orthrus heads from safetensors to GGUF, their matrices in Q8_0.

    scripts/quantize-heads.py heads.safetensors heads.gguf --base NAME [--block-size N] [--mask-token-id ID]

Needs, from PyPI: gguf, numpy. Block size, mask and base are taken from the file's metadata where it has them;
options come before them. (The trainer's `export` does the same for what it trained.)
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

from orthrus_train import heads_file  # noqa: E402
from orthrus_train.errors import TrainError  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description="Orthrus heads from safetensors to GGUF in Q8_0")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--base", help="the name of the model that the heads are for")
    parser.add_argument("--block-size", type=int)
    parser.add_argument("--mask-token-id", type=int)
    options = parser.parse_args()
    try:
        heads = heads_file.read(options.source)
        heads.base = options.base or heads.base
        if options.block_size is not None:
            heads.block_size = options.block_size
        if options.mask_token_id is not None:
            heads.mask_token_id = options.mask_token_id
        heads_file.write_gguf(heads, options.target)
    except TrainError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
