"""`export`: a training's heads, or a file of heads, as a file that the engine reads."""

import argparse
from pathlib import Path

from . import heads_file
from .heads_file import HeadsFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="a training's directory, or a file of heads")
    parser.add_argument(
        "target",
        type=Path,
        help="NAME.safetensors (BF16) or NAME.gguf (Q8_0, the pairwise term's tables Q4_0)",
    )
    parser.add_argument("--base", help="the name of the model that the heads are for")


def heads_of(source: Path) -> HeadsFile:
    if not source.is_dir():
        return heads_file.read(source)
    from . import checkpoint  # PyTorch is only needed here

    return checkpoint.heads_in(source / checkpoint.NAME)


def run(args: argparse.Namespace) -> None:
    heads = heads_of(args.source)
    heads.base = args.base or heads.base
    heads_file.write(heads, args.target)
    print(f"{args.target}: {args.target.stat().st_size / 1e6:.1f} MB")
