"""`make`: heads for a base in one go: its texts, training, figures, files for the engine."""

import argparse
import gc
import importlib
import importlib.util
from pathlib import Path

import torch

from . import checkpoint
from .errors import TrainError
from .machine import add_device_argument, place_of
from .options import block, number, pair_rank, whole
from .workers import Workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="the base: a directory or a .gguf file")
    parser.add_argument(
        "--out", type=Path, required=True, help="a directory; if it is there, what it has is used"
    )
    parser.add_argument(
        "--minutes",
        type=number(0.01, 1e6),
        default=10.0,
        help="of training (10), compiling not counted",
    )
    parser.add_argument(
        "--generate-minutes", type=number(0.01, 1e6), help="of writing texts (half of --minutes)"
    )
    parser.add_argument(
        "--prompts", action="append", default=[], help="as generate's; none are needed"
    )
    parser.add_argument("--block-size", type=block, default=16)
    parser.add_argument(
        "--pair-rank",
        type=pair_rank,
        default=256,
        help="of the pairwise term on drafts (256); 0: none",
    )
    parser.add_argument("--seed", type=whole, default=0)
    add_device_argument(parser)


def command(name: str, *words: object) -> None:
    """As from the command line."""
    module = importlib.import_module(f".{name}", __package__)
    parser = argparse.ArgumentParser(prog=f"orthrus_train {name}")
    module.add_arguments(parser)
    module.run(parser.parse_args([str(word) for word in words]))
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def run(args: argparse.Namespace) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise TrainError("writing heads.gguf needs the package gguf (pip install gguf).")
    workers = Workers(place_of(args.device))
    data, training, heads = args.out / "data", args.out / "training", args.out / "heads.gguf"
    common = ["--model", args.model, "--device", args.device]
    trained_before = (training / checkpoint.NAME).exists()
    workers.wait()  # until all have looked
    if not trained_before:
        prompts = [word for path in args.prompts for word in ("--prompts", path)]
        minutes = args.generate_minutes or args.minutes / 2
        command(
            "generate", *common, "--out", data, "--minutes", minutes, "--seed", args.seed, *prompts
        )
        workers.wait()
    words = ["--data", data, "--out", training, "--minutes", args.minutes, "--seed", args.seed]
    words += ["--block-size", args.block_size, "--pair-rank", args.pair_rank]
    words += (["--resume"] if trained_before else [])
    command("train", *common, *words)
    workers.wait()
    if workers.first:
        command("export", training, args.out / "heads.safetensors")
        command("export", training, heads)
    workers.wait()
    command(
        "evaluate", *common, "--heads", heads, "--data", data, "--json", args.out / "accepted.json"
    )
    if workers.first:
        print(f"try them: orthrus chat -m {args.model} --heads {heads}")
    workers.close()
