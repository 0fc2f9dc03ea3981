"""`export`: a training's heads, or a file of heads, as a file that the engine reads."""

import argparse
from pathlib import Path

from . import heads_file
from .errors import TrainError
from .heads_file import HeadsFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a training's directory, or a file of heads")
    parser.add_argument(
        "target",
        type=Path,
        help="NAME.safetensors (BF16) or NAME.gguf (quantized, the pairwise term's tables Q4_0)",
    )
    parser.add_argument(
        "--type",
        type=str.upper,
        choices=heads_file.GGUF_TYPES,
        help="of the matrices in a .gguf (Q8_0); smaller ones accept a little less",
    )
    parser.add_argument("--base", help="the name of the model that the heads are for")


def heads_of(source: Path) -> HeadsFile:
    if not source.is_dir():
        return heads_file.read(source)
    from . import checkpoint  # PyTorch is only needed here

    return checkpoint.heads_in(source / checkpoint.NAME)


def run(args: argparse.Namespace) -> None:
    if args.type and args.target.suffix != ".gguf":
        raise TrainError(f"--type is {args.type}: only NAME.gguf has types, {args.target} is BF16.")
    heads = heads_of(args.source)
    heads.base = args.base or heads.base
    heads_file.write(heads, args.target, args.type or heads_file.GGUF_TYPES[0])
    print(f"{args.target}: {args.target.stat().st_size / 1e6:.1f} MB")
